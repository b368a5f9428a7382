/** Spark NLP's sequence classifiers, answered by classifiers that bertriton serves on NVIDIA Triton.
  *
  * One file without dependencies but Spark (3.5 or 4, Scala 2.12 or 2.13, Java 11 or newer). In spark-shell:
  * `:paste -raw Bertriton.scala`; in a notebook of Databricks it is a package cell; pom.xml makes a jar of it.
  * A pipeline of Spark NLP needs its import lines changed, to `import bertriton.spark._`, and nothing else.
  */
package bertriton.spark

import java.io.{File, IOException}
import java.net.URI
import java.net.http.{HttpClient, HttpConnectTimeoutException, HttpRequest, HttpResponse, HttpTimeoutException}
import java.time.Duration
import java.util.concurrent.{Callable, ConcurrentHashMap, ExecutionException, Executors, Future, ThreadFactory}
import java.util.concurrent.ThreadLocalRandom
import javax.net.ssl.SSLException

import scala.collection.immutable.ListMap
import scala.collection.mutable

import com.fasterxml.jackson.core.JsonProcessingException
import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}

import org.apache.spark.TaskContext
import org.apache.spark.ml.Transformer
import org.apache.spark.ml.param.{BooleanParam, DoubleParam, IntParam, Param, ParamMap, StringArrayParam}
import org.apache.spark.ml.util.{DefaultParamsReadable, DefaultParamsWritable, Identifiable}
import org.apache.spark.sql.{Column, DataFrame, Dataset, Encoders, Row}
import org.apache.spark.sql.functions.{col, udf}
import org.apache.spark.sql.types.{ArrayType, MetadataBuilder, StringType, StructField, StructType}

/** Whatever goes wrong here; `retryable`: the same call can succeed later. */
sealed abstract class BertritonException(message: String, val retryable: Boolean, cause: Throwable)
    extends RuntimeException(message, cause)

/** A setting out of its range, or a column that is not there. */
final class InvalidOptionException(message: String) extends BertritonException(message, false, null)

/** The server refused what it was sent: a text too long for it, or a model of another contract. */
final class InvalidRequestException(message: String) extends BertritonException(message, false, null)

/** Nothing listens at the address, or the connection broke. */
final class ConnectionFailedException(message: String, cause: Throwable)
    extends BertritonException(message, true, cause)

/** The server's queue is full. */
final class OverloadedException(message: String) extends BertritonException(message, true, null)

/** The model is loading, unloading, being replaced or broken. */
final class ModelNotReadyException(message: String) extends BertritonException(message, true, null)

/** No answer in time. */
final class DeadlineException(message: String, cause: Throwable) extends BertritonException(message, true, cause)

/** The server holds no such classifier. */
final class ModelNotFoundException(message: String) extends BertritonException(message, false, null)

/** The key or a certificate is missing or refused. */
final class AccessDeniedException(message: String, cause: Throwable)
    extends BertritonException(message, false, cause)

/** The server took the request and failed on it. */
final class ServerFailureException(message: String) extends BertritonException(message, false, null)

/** The answer does not follow the contract. */
final class UnexpectedAnswerException(message: String) extends BertritonException(message, false, null)

/** One element of a column, as Spark NLP has it; `end` is inclusive, both count UTF-16 units. */
final case class Annotation(
    annotatorType: String,
    begin: Int,
    end: Int,
    result: String,
    metadata: Map[String, String],
    embeddings: Array[Float])

/** Columns of annotations: their type, and the mark in their metadata that tells documents from tokens. */
private[spark] object AnnotationColumn {
  val Document = "document"
  val Token = "token"
  val Category = "category"
  private val Mark = "annotatorType"

  val dataType: ArrayType = ArrayType(Encoders.product[Annotation].schema)

  def field(name: String, annotatorType: String): StructField =
    StructField(name, dataType, nullable = true, metadata(annotatorType))

  def metadata(annotatorType: String) = new MetadataBuilder().putString(Mark, annotatorType).build()

  def typeOf(field: StructField): String =
    if (field.metadata.contains(Mark)) field.metadata.getString(Mark) else "no annotations"

  def annotation(row: Row): Annotation = {
    val metadata = row.getMap[String, String](4).toMap
    Annotation(row.getString(0), row.getInt(1), row.getInt(2), row.getString(3), metadata, Array())
  }

  def row(of: Annotation): Row =
    Row(of.annotatorType, of.begin, of.end, of.result, of.metadata, of.embeddings)
}

/** A stage of a pipeline that adds a column of annotations. */
abstract class Annotator extends Transformer with DefaultParamsWritable {
  protected def annotatorType: String

  final val outputCol = new Param[String](this, "outputCol", "column of annotations to add")
  def setOutputCol(value: String): this.type = set(outputCol, value)
  def getOutputCol: String = $(outputCol)

  protected def requireInput(schema: StructType): Unit

  override def transformSchema(schema: StructType): StructType = {
    requireInput(schema)
    if (schema.fieldNames.contains(getOutputCol))
      throw new InvalidOptionException(s"outputCol: there is a column '$getOutputCol' already; choose another name")
    schema.add(AnnotationColumn.field(getOutputCol, annotatorType))
  }

  override def copy(extra: ParamMap): Transformer = defaultCopy(extra)

  protected def field(schema: StructType, name: String): StructField = schema.fields
    .find(_.name == name)
    .getOrElse(throw new InvalidOptionException(
      s"$uid: there is no column '$name'; there are ${schema.fieldNames.mkString(", ")}"))

  protected def withAnnotations(dataset: Dataset[_], annotations: Column): DataFrame = {
    transformSchema(dataset.schema)
    val marked = annotations.as(getOutputCol, AnnotationColumn.metadata(annotatorType))
    dataset.toDF().select(col("*"), marked)
  }
}

/** Texts as annotations: one document a row, whole and unchanged; a row without a text is an empty document. */
class DocumentAssembler(override val uid: String) extends Annotator {
  def this() = this(Identifiable.randomUID("document"))
  protected def annotatorType: String = AnnotationColumn.Document

  final val inputCol = new Param[String](this, "inputCol", "column of texts")
  setDefault(outputCol -> AnnotationColumn.Document)
  def setInputCol(value: String): this.type = set(inputCol, value)
  def getInputCol: String = $(inputCol)

  protected def requireInput(schema: StructType): Unit =
    if (field(schema, getInputCol).dataType != StringType)
      throw new InvalidOptionException(
        s"inputCol: expected a column of strings, '$getInputCol' is ${field(schema, getInputCol).dataType.sql}")

  override def transform(dataset: Dataset[_]): DataFrame = {
    val assemble = udf { (text: String) =>
      val content = Option(text).getOrElse("")
      Seq(Annotation(AnnotationColumn.Document, 0, content.length - 1, content, Map("sentence" -> "0"), Array()))
    }
    withAnnotations(dataset, assemble(dataset.col(s"`$getInputCol`")))
  }
}
object DocumentAssembler extends DefaultParamsReadable[DocumentAssembler]

/** Words, split as Spark NLP's Tokenizer splits them by default: at white space, and marks around a word apart.
  *
  * For pipelines that read them. The classifier does not: the server has the model's own tokenizer.
  */
class Tokenizer(override val uid: String) extends Annotator {
  def this() = this(Identifiable.randomUID("REGEX_TOKENIZER"))
  protected def annotatorType: String = AnnotationColumn.Token

  final val inputCols = new StringArrayParam(this, "inputCols", "the column of documents")
  setDefault(outputCol -> AnnotationColumn.Token)
  def setInputCols(value: Array[String]): this.type = set(inputCols, value)
  def setInputCols(value: String*): this.type = set(inputCols, value.toArray)
  def getInputCols: Array[String] = $(inputCols)

  /** Nothing is learned; Spark NLP's is an estimator. */
  def fit(dataset: Dataset[_]): Tokenizer = this

  protected def requireInput(schema: StructType): Unit = {
    val types = getInputCols.map(name => AnnotationColumn.typeOf(field(schema, name)))
    if (types.toSeq != Seq(AnnotationColumn.Document))
      throw new InvalidOptionException(
        s"inputCols: expected one column of documents, found ${getInputCols.mkString(", ")} (${types.mkString(", ")})")
  }

  override def transform(dataset: Dataset[_]): DataFrame = {
    val split = udf((documents: Seq[Annotation]) => documents.flatMap(Tokenizer.tokens))
    withAnnotations(dataset, split(dataset.col(s"`${getInputCols.head}`")))
  }
}
object Tokenizer extends DefaultParamsReadable[Tokenizer] {
  private val Candidate = "[^\\s\u2187]+".r // by that sign Spark NLP marks where it cuts
  private val Marks = "[.,;:!?*\\-()\"']"
  private val Others = "[^.,;:!?*\\-()\"']"
  private val Parts = s"(?s)($Marks*)($Others(?:.*$Others)?)($Marks*)".r

  private[spark] def tokens(document: Annotation): Seq[Annotation] =
    Candidate.findAllMatchIn(document.result).toList.flatMap { candidate =>
      val parts = candidate.matched match {
        case Parts(before, word, after) => Seq(before, word, after)
        case marks => Seq(marks)
      }
      val starts = parts.scanLeft(document.begin + candidate.start)(_ + _.length)
      parts.zip(starts).filter(_._1.nonEmpty).map { case (part, start) =>
        val metadata = Map("sentence" -> document.metadata.getOrElse("sentence", "0"))
        Annotation(AnnotationColumn.Token, start, start + part.length - 1, part, metadata, Array())
      }
    }
}

/** Where the classifier is, and how it is asked. */
private[spark] final case class Connection(
    addresses: Seq[String],
    model: String,
    apiKey: Option[String],
    timeoutS: Int,
    maxLength: Int,
    truncation: Option[String]) {
  override def toString: String = s"$model at ${addresses.mkString(", ")}" // without the key
}

/** How rows become requests, and answers annotations. */
private[spark] final case class Reading(
    batchSize: Option[Int],
    inFlight: Int,
    caseSensitive: Boolean,
    coalesceSentences: Boolean,
    activation: Option[String],
    threshold: Float,
    someKeys: Boolean)

/** A classifier of Spark NLP by name and setters; a server has the model.
  *
  * Each document, or sentence, becomes an annotation of type "category": the label, the place of the text, and in
  * the metadata the sentence's number and a score of each label. Texts without a word get none.
  */
abstract class SequenceClassifier extends Annotator {
  import SequenceClassifier._

  protected def annotatorType: String = AnnotationColumn.Category
  // No parameter: those are written into saved pipelines for all to read.
  private var apiKey: Option[String] = sys.env.get(ApiKeyVariable)

  final val inputCols = new StringArrayParam(this, "inputCols", "columns of documents and, unused, of tokens")
  final val url = new StringArrayParam(this, "url", "http(s)://host:port of each Triton")
  final val model = new Param[String](this, "model", "the classifier's name on the server")
  final val batchSize = new IntParam(this, "batchSize", "texts of a request; counts once it is set")
  final val inFlight = new IntParam(this, "inFlight", "requests of a partition that are under way at once")
  final val timeout = new IntParam(this, "timeout", "seconds for a request, with all that is tried again")
  final val caseSensitive = new BooleanParam(this, "caseSensitive", "false: texts are sent in lower case")
  final val maxSentenceLength =
    new IntParam(this, "maxSentenceLength", "tokens read of a text, [CLS] and [SEP] included")
  final val coalesceSentences =
    new BooleanParam(this, "coalesceSentences", "one annotation a row: its sentences' mean")
  final val truncation =
    new Param[String](this, "truncation", "what is read of a long text; the model's own way if not set")
  final val activation = new Param[String](this, "activation", "softmax or sigmoid; the model's own if not set")
  final val multilabel = new BooleanParam(this, "multilabel", "whether the activation is sigmoid")
  final val threshold = new DoubleParam(this, "threshold", "the score above which a label counts under sigmoid")
  final val someKeys = new BooleanParam(this, "someKeys", "metadata keys Some(label), as of Spark NLP before 4.2.8")
  setDefault(batchSize -> 8, inFlight -> 8, timeout -> 180, caseSensitive -> true, maxSentenceLength -> 128)
  setDefault(coalesceSentences -> false, activation -> Softmax, multilabel -> false, threshold -> 0.5)
  setDefault(someKeys -> false)

  def setInputCols(value: Array[String]): this.type = set(inputCols, value)
  def setInputCols(value: String*): this.type = set(inputCols, value.toArray)
  def getInputCols: Array[String] = $(inputCols)
  def setUrl(value: String*): this.type = set(url, value.flatMap(addressesOf).toArray)
  def getUrl: Array[String] = $(url)
  def setModel(value: String): this.type = set(model, value)
  def getModel: String = $(model)

  /** The key that `bertriton serve --api-key` asks for; never saved. Default: BERTRITON_API_KEY of the driver. */
  def setApiKey(value: String): this.type = { apiKey = Option(value); this }
  def setBatchSize(value: Int): this.type = set(batchSize, atLeast("batchSize", 1, value))
  def getBatchSize: Int = $(batchSize)
  def setInFlight(value: Int): this.type = set(inFlight, atLeast("inFlight", 1, value))
  def getInFlight: Int = $(inFlight)
  def setTimeout(seconds: Int): this.type = set(timeout, atLeast("timeout", 1, seconds))
  def getTimeout: Int = $(timeout)
  def setCaseSensitive(value: Boolean): this.type = set(caseSensitive, value)
  def getCaseSensitive: Boolean = $(caseSensitive)

  /** At least 3, as [CLS] and [SEP] count; over the model's own limit, that holds. */
  def setMaxSentenceLength(value: Int): this.type = set(maxSentenceLength, atLeast("maxSentenceLength", 3, value))
  def getMaxSentenceLength: Int = $(maxSentenceLength)
  def setCoalesceSentences(value: Boolean): this.type = set(coalesceSentences, value)
  def getCoalesceSentences: Boolean = $(coalesceSentences)

  /** head, tail, head_tail, error or windows. */
  def setTruncation(value: String): this.type = set(truncation, value)
  def getTruncation: String = $(truncation)
  def setActivation(value: String): this.type = {
    if (!Seq(Softmax, Sigmoid).contains(value))
      throw new InvalidOptionException(s"activation: expected $Softmax or $Sigmoid, found '$value'")
    set(activation, value)
  }
  def getActivation: String = $(activation)
  def setMultilabel(value: Boolean): this.type = set(multilabel, value).setActivation(if (value) Sigmoid else Softmax)
  def getMultilabel: Boolean = $(multilabel)
  def setThreshold(value: Double): this.type = set(threshold, value)
  def getThreshold: Double = $(threshold)
  def setSomeKeys(value: Boolean): this.type = set(someKeys, value)
  def getSomeKeys: Boolean = $(someKeys)

  /** The model's labels in the order of its logits, asked of the server. */
  def getClasses: Array[String] = Triton.shared(connection).classifier().labels.toArray

  override def copy(extra: ParamMap): Transformer = defaultCopy[SequenceClassifier](extra).setApiKey(apiKey.orNull)

  protected def requireInput(schema: StructType): Unit = documentColumn(schema)

  private def documentColumn(schema: StructType): String = {
    val types = getInputCols.map(name => name -> AnnotationColumn.typeOf(field(schema, name)))
    val documents = types.collect { case (name, AnnotationColumn.Document) => name }
    val others = types.filterNot(each => Seq(AnnotationColumn.Document, AnnotationColumn.Token).contains(each._2))
    if (documents.length != 1 || others.nonEmpty)
      throw new InvalidOptionException(
        "inputCols: expected a column of documents and one of tokens, in any order, found " +
          types.map { case (name, kind) => s"'$name' ($kind)" }.mkString(", "))
    documents.head
  }

  private def connection =
    Connection(getUrl.toSeq, getModel, apiKey, getTimeout, getMaxSentenceLength, get(truncation))

  override def transform(dataset: Dataset[_]): DataFrame = {
    val schema = transformSchema(dataset.schema)
    val reading = Reading(get(batchSize), getInFlight, getCaseSensitive, getCoalesceSentences, get(activation),
      getThreshold.toFloat, getSomeKeys)
    val task = new PartitionTask(connection, reading, dataset.schema.fieldIndex(documentColumn(dataset.schema)))
    val answered = dataset.toDF().mapPartitions(task)(Encoders.row(schema))
    // Rows that went through a function have lost the marks of their columns.
    answered.select(schema.map(each => col(s"`${each.name}`").as(each.name, each.metadata)): _*)
  }
}

private[spark] object SequenceClassifier {
  val Softmax = "softmax"
  val Sigmoid = "sigmoid"
  val ApiKeyVariable = "BERTRITON_API_KEY"
  private val AddressVariable = "BERTRITON_HTTP_URL"
  private val ModelVariable = "BERTRITON_MODEL"
  private val TableVariable = "BERTRITON_SPARK_MODELS"
  private val DefaultAddress = "http://localhost:8000"
  private val DefaultTable = Map("bert_base_sequence_classifier_imdb" -> "imdb")

  /** A classifier's name on the server: by the environment, by the table, else the name itself. */
  def servedName(name: String, lang: String): String = sys.env.get(ModelVariable).filter(_.nonEmpty)
    .orElse(Seq(s"$name/$lang", name).flatMap(table.get(_)).headOption).getOrElse(name)

  /** DefaultTable and the user's own, which the Python package reads too. */
  private def table: Map[String, String] =
    DefaultTable ++ sys.env.get(TableVariable).filter(_.nonEmpty).toSeq.flatMap(tableOf)

  private def tableOf(file: String): Seq[(String, String)] = {
    val entries =
      try new ObjectMapper().readTree(new File(file))
      catch {
        case error: IOException => throw new InvalidOptionException(
            s"""$TableVariable=$file: expected JSON as {"NAME": {"model": "..."}}: ${error.getMessage}""")
      }
    val names = mutable.ArrayBuffer[(String, String)]()
    entries.fieldNames.forEachRemaining(name => names += name -> entries.get(name).path("model").asText(name))
    names.toSeq
  }

  def addresses(remoteLoc: String): Seq[String] =
    addressesOf(Option(remoteLoc).getOrElse(sys.env.getOrElse(AddressVariable, DefaultAddress)))

  def addressesOf(text: String): Seq[String] = {
    val found = text.split(",").map(_.trim.stripSuffix("/")).filter(_.nonEmpty).toSeq
    found.find(!_.matches("https?://[^/]+(/.*)?")).foreach(other => throw new InvalidOptionException(
      s"url: expected http://host:port of Triton's HTTP endpoint, or https:// of a proxy, found '$other'"))
    found
  }

  def atLeast(name: String, least: Int, value: Int): Int =
    if (value >= least) value
    else throw new InvalidOptionException(s"$name: expected a whole number of at least $least, found $value")
}

/** `pretrained`, which finds a server in place of a download. */
trait PretrainedClassifier[T <: SequenceClassifier] extends DefaultParamsReadable[T] {
  protected def defaultName: String
  protected def create(): T

  def pretrained(): T = pretrained(defaultName)
  def pretrained(name: String): T = pretrained(name, "en")
  def pretrained(name: String, lang: String): T = pretrained(name, lang, null)

  /** A classifier of a server.
    *
    * @param name Spark NLP's name of the model, or the server's
    * @param lang its language, for a table that has the name in several
    * @param remoteLoc addresses with commas between; null: BERTRITON_HTTP_URL, else http://localhost:8000
    */
  def pretrained(name: String, lang: String, remoteLoc: String): T = {
    val classifier = create()
    classifier.setModel(SequenceClassifier.servedName(name, lang))
    classifier.setUrl(SequenceClassifier.addresses(remoteLoc): _*)
    classifier
  }
}

class BertForSequenceClassification(override val uid: String) extends SequenceClassifier {
  def this() = this(Identifiable.randomUID("BERT_FOR_SEQUENCE_CLASSIFICATION"))
}
object BertForSequenceClassification extends PretrainedClassifier[BertForSequenceClassification] {
  protected def defaultName = "bert_base_sequence_classifier_imdb"
  protected def create() = new BertForSequenceClassification()
}

class DistilBertForSequenceClassification(override val uid: String) extends SequenceClassifier {
  def this() = this(Identifiable.randomUID("DistilBertForSequenceClassification"))
}
object DistilBertForSequenceClassification extends PretrainedClassifier[DistilBertForSequenceClassification] {
  protected def defaultName = "distilbert_base_sequence_classifier_imdb"
  protected def create() = new DistilBertForSequenceClassification()
}

class RoBertaForSequenceClassification(override val uid: String) extends SequenceClassifier {
  def this() = this(Identifiable.randomUID("RoBertaForSequenceClassification"))
}
object RoBertaForSequenceClassification extends PretrainedClassifier[RoBertaForSequenceClassification] {
  protected def defaultName = "roberta_base_sequence_classifier_imdb"
  protected def create() = new RoBertaForSequenceClassification()
}

class XlmRoBertaForSequenceClassification(override val uid: String) extends SequenceClassifier {
  def this() = this(Identifiable.randomUID("XlmRoBertaForSequenceClassification"))
}
object XlmRoBertaForSequenceClassification extends PretrainedClassifier[XlmRoBertaForSequenceClassification] {
  protected def defaultName = "xlm_roberta_base_sequence_classifier_imdb"
  protected def create() = new XlmRoBertaForSequenceClassification()
}

/** What an executor does with the rows of a partition: several requests under way, answers in the rows' order. */
private[spark] final class PartitionTask(connection: Connection, reading: Reading, documents: Int)
    extends (Iterator[Row] => Iterator[Row]) with Serializable {
  import PartitionTask._

  override def apply(rows: Iterator[Row]): Iterator[Row] = {
    val threads = Executors.newFixedThreadPool(reading.inFlight, DaemonThreads)
    Option(TaskContext.get()).foreach(_.addTaskCompletionListener[Unit](_ => threads.shutdownNow()))
    val first = Option(TaskContext.get()).fold(0)(_.partitionId()) // so partitions begin with different servers
    val sized = rows.map(row => row -> sentences(row))
    lazy val requests = grouped[(Row, Seq[Annotation])](
      sized, textsPerRequest(first), _._2.size, _._2.map(_.result.length).sum)
    val underWay = mutable.Queue[Future[Seq[Row]]]()
    val answers = new Iterator[Seq[Row]] {
      private def fill(): Unit = while (underWay.size < reading.inFlight && requests.hasNext) {
        val batch = requests.next()
        underWay.enqueue(threads.submit(new Callable[Seq[Row]] { def call(): Seq[Row] = answered(batch, first) }))
      }
      def hasNext: Boolean = { fill(); underWay.nonEmpty }
      def next(): Seq[Row] =
        try underWay.dequeue().get()
        catch { case error: ExecutionException => throw error.getCause }
    }
    answers.flatMap(identity)
  }

  private def textsPerRequest(first: Int): Int = {
    val most = Triton.shared(connection).classifier(first).maxBatchSize
    math.min(most, reading.batchSize.getOrElse(most))
  }

  /** The documents of a row that have a word in them. */
  private def sentences(row: Row): Seq[Annotation] =
    if (row.isNullAt(documents)) Seq()
    else {
      val found = row.getSeq[Row](documents).map(AnnotationColumn.annotation).toList
      found.filter(_.result.exists(!Blank.contains(_)))
    }

  private def answered(batch: Seq[(Row, Seq[Annotation])], first: Int): Seq[Row] = {
    val triton = Triton.shared(connection)
    val texts = batch.flatMap(_._2).map(each => if (reading.caseSensitive) each.result else each.result.toLowerCase)
    val requests = grouped[String](texts.iterator, textsPerRequest(first), _ => 1, _.length)
    val answers = requests.flatMap(triton.infer(_, first)).toArray
    val ends = batch.scanLeft(0)(_ + _._2.size)
    batch.zip(ends).map { case ((row, found), start) =>
      val scored = found.zip(answers.slice(start, start + found.size))
      val categories = (if (reading.coalesceSentences) coalesced(scored) else scored).flatMap((annotations _).tupled)
      Row.fromSeq(row.toSeq :+ categories.map(AnnotationColumn.row))
    }
  }

  /** The mean of the sentences' scores, in the place of the first. */
  private def coalesced(scored: Seq[(Annotation, Answer)]): Seq[(Annotation, Answer)] = scored.headOption.toSeq.map {
    case (first, answer) =>
      val scores = scored.map(_._2.scores(reading.activation))
      first -> answer.copy(scores = _ => answer.labels.indices.map(index => scores.map(_(index)).sum / scores.size))
  }

  private def annotations(sentence: Annotation, answer: Answer): Seq[Annotation] = {
    val scores = answer.scores(reading.activation)
    val chosen =
      if (reading.activation.fold(answer.isMultiLabel)(_ == SequenceClassifier.Sigmoid))
        scores.indices.filter(scores(_) > reading.threshold)
      else Seq(scores.indexOf(scores.max))
    val named = answer.labels.zip(scores).map { case (label, score) =>
      (if (reading.someKeys) s"Some($label)" else label) -> score.toString
    }
    val metadata = ListMap(("sentence" -> sentence.metadata.getOrElse("sentence", "0")) +: named: _*)
    chosen.map(answer.labels).map(label =>
      Annotation(AnnotationColumn.Category, sentence.begin, sentence.end, label, metadata, Array()))
  }
}

private[spark] object PartitionTask {
  private val Blank = " \t\n\u000b\f\r\u2187" // what Tokenizer cuts at
  private val MaxRequestChars = 1 << 20

  private object DaemonThreads extends ThreadFactory {
    def newThread(work: Runnable): Thread = {
      val thread = new Thread(work, "bertriton")
      thread.setDaemon(true)
      thread
    }
  }

  /** Items in groups of at most so many texts and a million characters; one that has more is a group of its own. */
  private def grouped[A](items: Iterator[A], limit: Int, texts: A => Int, chars: A => Int): Iterator[Seq[A]] = {
    val ahead = items.buffered
    new Iterator[Seq[A]] {
      def hasNext: Boolean = ahead.hasNext
      def next(): Seq[A] = {
        val group = mutable.ArrayBuffer(ahead.next())
        var (textCount, charCount) = (texts(group.head), chars(group.head))
        while (ahead.hasNext && group.size < limit && textCount + texts(ahead.head) <= limit
          && charCount + chars(ahead.head) <= MaxRequestChars) {
          textCount += texts(ahead.head)
          charCount += chars(ahead.head)
          group += ahead.next()
        }
        group.toList
      }
    }
  }
}

/** What the model says of one text: its scores by activation, in the order of its labels. */
private[spark] final case class Answer(
    labels: Seq[String],
    isMultiLabel: Boolean,
    scores: Option[String] => Seq[Float])

/** What the server says of a classifier. */
private[spark] final case class Classifier(
    labels: Seq[String],
    isMultiLabel: Boolean,
    maxLength: Int,
    maxBatchSize: Int,
    fingerprint: String)

/** A classifier on one or several Tritons, asked over HTTP; one for all tasks of a JVM. */
private[spark] final class Triton(connection: Connection) {
  import Triton._

  // Triton speaks HTTP/1.1. Certificates are held against Java's trust store.
  private val http = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
    .connectTimeout(Duration.ofSeconds(ConnectTimeoutS)).build()
  @volatile private var known: Option[Classifier] = None
  @volatile private var hasAnswered = false
  private val away = new ConcurrentHashMap[String, Long]() // until when an address is passed over

  /** Labels and limits, asked once. `first`: which address is asked first, counted round. */
  def classifier(first: Int = 0): Classifier = known.getOrElse(synchronized(known.getOrElse(ask(first))))

  /** What the model says of each text, at most the server's batch of them. */
  def infer(texts: Seq[String], first: Int): Seq[Answer] = retried(first) { (address, leftMs) =>
    val model = classifier(first)
    val answer = new Response(sent(address, "/infer", Some(request(texts, model, leftMs)), leftMs))
    val prints = Seq("fingerprint", "tokenizer_fingerprint").flatMap(answer.rows(_, texts.size, _.asInt))
    val print = prints.map(_.map(word => f"$word%08x").mkString).distinct
    if (print != Seq(model.fingerprint)) {
      known = None // asked again, with the next try
      throw new ModelNotReadyException(
        s"model '${connection.model}' is being replaced: the answer is of ${print.mkString(" and ")}, labels are " +
          s"known of ${model.fingerprint}; if it stays so, export it again")
    }
    val probabilities = answer.rows("probabilities", texts.size, _.floatValue)
    val logits = answer.rows("logits", texts.size, _.floatValue)
    probabilities.zip(logits).map { case (own, raw) =>
      Answer(model.labels, model.isMultiLabel, scores(model, own, raw))
    }
  }

  private def scores(model: Classifier, own: Seq[Float], logits: Seq[Float])(activation: Option[String]): Seq[Float] =
    if (own.size != model.labels.size || logits.size != own.size)
      throw new UnexpectedAnswerException(s"expected ${model.labels.size} scores of a text, found ${own.size}")
    else if (activation.forall(name => model.isMultiLabel == (name == SequenceClassifier.Sigmoid))) own
    else if (model.isMultiLabel) {
      val powers = logits.map(logit => math.exp(logit - logits.max))
      powers.map(power => (power / powers.sum).toFloat)
    } else logits.map(logit => (1 / (1 + math.exp(-logit))).toFloat)

  private def ask(first: Int): Classifier = {
    val config = retried(first)((address, leftMs) => sent(address, "/config", None, leftMs))
    def parameter(name: String): String = Option(config.path("parameters").get(s"bertriton.$name")) match {
      case Some(value) => value.path("string_value").asText
      case None => throw new ModelNotFoundException(
        s"model '${connection.model}' is no classifier of bertriton: it has no parameter bertriton.$name")
    }
    if (parameter("contract") != Contract)
      throw new UnexpectedAnswerException(
        s"model '${connection.model}' follows contract ${parameter("contract")}, this file $Contract: export it " +
          "again, or take the Bertriton.scala of its version")
    val problem = parameter("problem_type")
    if (!Seq(SingleLabel, MultiLabel).contains(problem))
      throw new ModelNotFoundException(s"model '${connection.model}' is a $problem: it has no labels to choose from")
    val labels = json.readValue(parameter("labels"), classOf[Array[String]]).toSeq
    val found = Classifier(labels, problem == MultiLabel, parameter("max_length").toInt,
      math.max(1, config.path("max_batch_size").asInt), parameter("fingerprint"))
    known = Some(found)
    found
  }

  private def request(texts: Seq[String], model: Classifier, leftMs: Long): String = {
    val body = json.createObjectNode()
    val parameters = body.putObject("parameters")
    parameters.put("max_length", math.min(connection.maxLength, model.maxLength))
    connection.truncation.foreach(parameters.put("truncation", _))
    parameters.put("timeout", math.max(1, (leftMs * QueueShareOfDeadline * 1000).toLong))
    val input = body.putArray("inputs").addObject().put("name", "text").put("datatype", "BYTES")
    input.putArray("shape").add(texts.size).add(1)
    val data = input.putArray("data")
    texts.foreach(data.add(_: String))
    val outputs = body.putArray("outputs")
    Outputs.foreach(outputs.addObject().put("name", _))
    json.writeValueAsString(body)
  }

  /** The answer to one request to one server, or its error. */
  private def sent(address: String, path: String, body: Option[String], leftMs: Long): JsonNode = {
    val builder = HttpRequest.newBuilder(URI.create(s"$address/v2/models/${connection.model}$path"))
    builder.timeout(Duration.ofMillis(leftMs))
    connection.apiKey.foreach(builder.header(ApiKeyHeader, _))
    body.map(HttpRequest.BodyPublishers.ofString(_)).foreach(builder.header("Content-Type", "application/json").POST(_))
    val answer =
      try http.send(builder.build(), HttpResponse.BodyHandlers.ofString())
      catch {
        case error: HttpConnectTimeoutException => throw unreachable(address, error)
        case error: HttpTimeoutException =>
          throw new DeadlineException(s"no answer of $address within ${connection.timeoutS} s", error)
        case error: SSLException =>
          throw new AccessDeniedException(
            s"$address: ${error.getMessage}; its certificate must be of an authority in Java's trust store " +
              "(-Djavax.net.ssl.trustStore)", error)
        case error: IOException => throw unreachable(address, error)
      }
    hasAnswered = true
    val content =
      try json.readTree(answer.body)
      catch {
        case _: JsonProcessingException => json.createObjectNode().put("error", answer.body.take(MaxShownChars))
      }
    val reason = content.path("error").asText("no reason given")
    if (answer.statusCode == Ok) content
    else throw refusal(answer.statusCode, s"$address: HTTP ${answer.statusCode}: $reason")
  }

  private def unreachable(address: String, error: IOException) = {
    away.put(address, System.nanoTime() + AwayNs)
    new ConnectionFailedException(s"cannot reach Triton at $address: $error", error)
  }

  /** The address whose turn it is, or the next that has not been away just now. */
  private def addressOf(turn: Int): String = {
    val addresses = connection.addresses
    val turned = addresses.indices.map(place => addresses((turn + place) % addresses.size))
    val now = System.nanoTime()
    turned.find(address => now - away.getOrDefault(address, now) >= 0).getOrElse(turned.head)
  }

  private def refusal(status: Int, reason: String): BertritonException = status match {
    case _ if NotReadyNow.exists(reason.contains) => new ModelNotReadyException(reason)
    case 401 | 403 => new AccessDeniedException(s"$reason; setApiKey or BERTRITON_API_KEY", null)
    case 404 => new ModelNotFoundException(
        s"$reason; setModel, or the table that BERTRITON_SPARK_MODELS names, says which it is")
    case 400 if reason.contains("unknown model") => refusal(404, reason)
    case 408 => new DeadlineException(reason, null)
    case 429 | 502 | 503 | 504 => new OverloadedException(reason)
    case other if other < 500 => new InvalidRequestException(reason)
    case _ => new ServerFailureException(reason)
  }

  /** Asks one address after the other until one answers, another try cannot help, or time is up. */
  private def retried[A](first: Int)(ask: (String, Long) => A): A = {
    val started = System.nanoTime()
    def leftMs: Long = connection.timeoutS * 1000L - (System.nanoTime() - started) / 1000000L
    @scala.annotation.tailrec
    def attempt(count: Int): A = {
      val outcome =
        try Right(ask(addressOf(first + count), math.max(1L, leftMs)))
        catch { case error: BertritonException => Left(error) }
      val bound = math.min(MaxBackoffMs, FirstBackoffMs << math.min(count, 20))
      val waitMs = ThreadLocalRandom.current.nextLong(1 + bound)
      val attempts = (if (hasAnswered) MaxAttempts else FirstContactAttempts) * connection.addresses.size
      outcome match {
        case Right(answer) => answer
        case Left(error) if !error.retryable || count + 1 >= attempts || waitMs >= leftMs => throw error
        case Left(_) => Thread.sleep(waitMs); attempt(count + 1)
      }
    }
    attempt(0)
  }
}

private[spark] object Triton {
  private val json = new ObjectMapper()
  private val Contract = "2" // of client/bertriton/contract.py
  private val SingleLabel = "single_label_classification"
  private val MultiLabel = "multi_label_classification"
  private val Outputs = Seq("probabilities", "logits", "fingerprint", "tokenizer_fingerprint")
  private val ApiKeyHeader = "api-key"
  private val ConnectTimeoutS = 5L
  private val QueueShareOfDeadline = 0.9 // a request leaves Triton's queue before its sender stops waiting
  private val MaxAttempts = 30 // of an address, and before any has answered:
  private val FirstContactAttempts = 4
  private val FirstBackoffMs = 50L
  private val MaxBackoffMs = 2000L
  private val AwayNs = 5000000000L // five seconds
  private val MaxShownChars = 200
  private val Ok = 200
  // Triton's words for a model that is being loaded, or whose process is being started anew.
  private val NotReadyNow = Seq("has no available versions", "is not ready", "is not healthy")

  private val clients = new ConcurrentHashMap[Connection, Triton]()

  def shared(connection: Connection): Triton = clients.computeIfAbsent(connection, new Triton(_))

  /** The tensors of an answer. */
  private final class Response(content: JsonNode) {
    def rows[A](name: String, count: Int, read: JsonNode => A): Seq[Seq[A]] = {
      val outputs = content.path("outputs")
      val output = (0 until outputs.size).map(outputs.get).find(_.path("name").asText == name)
        .getOrElse(throw new UnexpectedAnswerException(s"output '$name' is missing"))
      val data = output.path("data")
      if (output.path("shape").path(0).asInt != count || data.size % count != 0 || data.size == 0)
        throw new UnexpectedAnswerException(s"output '$name': expected $count rows, found ${output.path("shape")}")
      (0 until data.size).map(index => read(data.get(index))).grouped(data.size / count).map(_.toSeq).toSeq
    }
  }
}
