// Kafka's tools one after another in one process, run from source by kafka.sh tool: what the first run compiled, the next ones have.
//
// Reads lines of a class and its arguments, separated by tabs; behind what the tool prints comes a line "<NUL>ended STATUS".
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.reflect.InvocationTargetException;
import java.util.Arrays;
import org.apache.kafka.common.utils.Exit;

public class Tools {
  /** What a tool wanted to end the process with; the first time counts, because some catch what ends them here. */
  static Integer ended;

  public static void main(String[] none) throws Exception {
    Exit.setExitProcedure((status, message) -> {
      if (ended == null) ended = status;
      throw new RuntimeException("ended with " + status);
    });
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line; (line = lines.readLine()) != null; ) {
      String[] words = line.split("\t");
      ended = null;
      try {
        Object arguments = Arrays.copyOfRange(words, 1, words.length);
        Class.forName(words[0]).getMethod("main", String[].class).invoke(null, arguments);
      } catch (InvocationTargetException e) {
        if (ended == null) {
          e.getCause().printStackTrace();
          ended = 1;
        }
      }
      System.out.println("\0ended " + (ended == null ? 0 : ended));
      System.out.flush();
    }
  }
}
