// Asks Spark NLP's own rules for the sentences of texts; record_sparknlp_sentences.py runs it.
import com.johnsnowlabs.nlp.annotators.common.Sentence;
import com.johnsnowlabs.nlp.annotators.sbd.pragmatic.DefaultPragmaticMethod;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Scanner;

public class SparkNlpSentences {
    public static void main(String[] arguments) {
        DefaultPragmaticMethod rules = new DefaultPragmaticMethod(true, true);
        StringBuilder answers = new StringBuilder();
        Scanner lines = new Scanner(System.in);
        while (lines.hasNextLine()) {
            byte[] text = Base64.getDecoder().decode(lines.nextLine());
            for (Sentence sentence : rules.extractBounds(new String(text, StandardCharsets.UTF_8))) {
                // As SentenceDetector does.
                if (!sentence.content().isEmpty()) {
                    answers.append(sentence.start()).append(' ').append(sentence.end()).append(' ');
                }
            }
            answers.append('\n');
        }
        System.out.print(answers);
    }
}
