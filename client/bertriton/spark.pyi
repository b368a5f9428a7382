from bertriton_spark import *
