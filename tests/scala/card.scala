// The model card's pipeline, its imports changed, and what beside it test_scala.py looks at.
// FOLDER holds texts.json and gets a folder for each answer; BERTRITON_HTTP_URL, BERTRITON_API_KEY are set,
// and BERTRITON_SPARK_MODELS says what "reviews" is.
import java.nio.file.{Files, Paths}

import spark.implicits._
import bertriton.spark._
import org.apache.spark.ml.{Pipeline, PipelineModel}
import org.apache.spark.sql.DataFrame

val document_assembler = new DocumentAssembler()
    .setInputCol("text")
    .setOutputCol("document")

val tokenizer = new Tokenizer()
    .setInputCols("document")
    .setOutputCol("token")

val sequenceClassifier = BertForSequenceClassification
      .pretrained("bert_base_sequence_classifier_imdb", "en")
      .setInputCols("document", "token")
      .setOutputCol("class")
      .setCaseSensitive(true)
      .setMaxSentenceLength(512)

val pipeline = new Pipeline().setStages(Array(document_assembler, tokenizer, sequenceClassifier))

val example = Seq("I really liked that movie!").toDS.toDF("text")

val result = pipeline.fit(example).transform(example)

// What follows is the test's.
val folder = Paths.get(sys.env("FOLDER"))
def keep(name: String, rows: DataFrame): Unit = rows.coalesce(1).write.json(folder.resolve(name).toString)
def note(name: String, text: String): Unit = Files.write(folder.resolve(name), text.getBytes("UTF-8"))
def failure(run: => Any): String =
  try { run; "no error" } catch { case error: Throwable =>
    val ours = Iterator.iterate(error)(_.getCause).takeWhile(_ != null).collectFirst { case each: BertritonException => each }
    ours.fold(error.toString)(each => s"${each.getClass.getSimpleName} ${each.retryable} ${each.getMessage}")
  }
def variant(): BertForSequenceClassification = BertForSequenceClassification.pretrained("reviews", "en")
  .setInputCols("token", "document").setOutputCol("class").setMaxSentenceLength(512)

keep("card", result)
note("schema", result.schema.json)
note("classes", sequenceClassifier.getClasses.mkString(","))

val texts = spark.read.schema("id int, text string").json(folder.resolve("texts.json").toString).repartition(3)
pipeline.fit(texts).write.overwrite.save(folder.resolve("saved").toString)
val loaded = PipelineModel.load(folder.resolve("saved").toString)
keep("tokens", tokenizer.transform(document_assembler.transform(texts)).select($"id", $"token.result"))
keep("reviews", loaded.transform(texts).select("id", "class"))

// Three sentences a row, as another annotator leaves them, two of them in a request.
val sentences = spark.udf.register("sentences", (text: String) => Seq("One. ", " ", text).zipWithIndex.map {
  case (each, index) => Annotation("document", 10 * index, 10 * index + each.length - 1, each, Map("sentence" -> s"$index"), Array())
})
val mark = document_assembler.transform(texts).schema("document").metadata
val split = texts.filter("id < 7").withColumn("document", sentences($"text").as("document", mark))
keep("sentences", variant().setInputCols("document").setBatchSize(2).transform(split).select("id", "class"))
keep("coalesced", variant().setInputCols("document").setCoalesceSentences(true).transform(split).select("id", "class"))
val sigmoid = variant().setInputCols("document").setMultilabel(true).setThreshold(0.3).setSomeKeys(true)
keep("sigmoid", sigmoid.setCaseSensitive(false).transform(split).select("id", "class"))

val documents = tokenizer.transform(document_assembler.transform(example))
val dead = "http://127.0.0.1:1"
note("failures", Seq(
  failure(variant().setApiKey("wrong").transform(documents).collect()),
  failure(variant().setModel("absent").transform(documents).collect()),
  failure(variant().setUrl(dead).transform(documents).collect()),
  failure(variant().setUrl("localhost:8001")),
  failure(variant().setInputCols("text", "token").transform(documents)),
  failure(variant().setInputCols("sentence").transform(documents)),
  failure(variant().setOutputCol("text").transform(documents)),
  failure(variant().setMaxSentenceLength(2)),
  failure(variant().setActivation("tanh"))).mkString("\n"))
note("done", "")
System.exit(0)
