// Asks Spark NLP's own Tokenizer for the tokens of texts; record_sparknlp_tokens.py runs it.
import com.johnsnowlabs.nlp.annotators.Tokenizer;
import com.johnsnowlabs.nlp.annotators.common.IndexedToken;
import com.johnsnowlabs.nlp.annotators.TokenizerModel;
import com.johnsnowlabs.nlp.annotators.common.Sentence;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import java.util.Scanner;
import scala.Option;
import scala.collection.JavaConverters;
import scala.collection.Seq;

public class SparkNlpTokens {
    public static void main(String[] arguments) {
        TokenizerModel[] models = {
            fitted(new Tokenizer()),
            fitted(new Tokenizer().setSplitChars(new String[] {"-", "#"})),
            fitted(new Tokenizer().setSplitPattern("[-#'/]+")),
            fitted(new Tokenizer().setExceptions(new String[] {"New York", "isn't", "e-mail"})),
            fitted(new Tokenizer()
                    .setExceptions(new String[] {"new york", "the film", "I [.]"})
                    .setCaseSensitiveExceptions(false)),
            fitted(new Tokenizer().setContextChars(new String[] {".", "[", "]", "^", "-", "\\", "/", "<"})
                    .setMinLength(2).setMaxLength(6)),
        };
        StringBuilder answers = new StringBuilder();
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            String text = new String(Base64.getDecoder().decode(lines.nextLine()), StandardCharsets.UTF_8);
            Sentence whole = new Sentence(text, 0, text.length() - 1, 0, Option.empty());
            Seq<Sentence> sentences = JavaConverters.asScalaBuffer(Collections.singletonList(whole)).toSeq();
            for (TokenizerModel model : models) {
                for (IndexedToken token : model.tag(sentences).head().indexedTokens()) {
                    answers.append(token.begin()).append(' ').append(token.end()).append(' ');
                }
                answers.append("-1 ");
            }
            answers.append('\n');
        }
        System.out.print(answers);
        System.exit(0);
    }

    private static TokenizerModel fitted(Tokenizer tokenizer) {
        return tokenizer.train(null, Option.empty());
    }
}
