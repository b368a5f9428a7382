from bertriton_nlu import *
