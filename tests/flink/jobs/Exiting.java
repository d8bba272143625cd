package demo;

import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.List;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * The job of {@link Endless}, with a main() that calls System.exit, which ends the JobManager.
 *
 * <p>--exit plan: while the jar is planned | --exit run: while it is run, before the job is submitted |
 * --exit after: after the job was submitted | --times N: only the first N times (always) | --log FILE:
 * each execution of main() adds a line, "plan" or "run" | the arguments of Endless
 */
public final class Exiting {
    public static void main(String[] argv) throws Exception {
        Args args = new Args(argv);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.getExecutionEnvironment();
        // Flink plans a jar in an environment of its own: StreamPlanEnvironment instead of StreamContextEnvironment.
        String now = env.getClass().getSimpleName().contains("Plan") ? "plan" : "run";
        String exit = args.get("exit", "");
        boolean isDue = executions(args, now) <= args.num("times", Long.MAX_VALUE);
        if (exit.equals(now) && isDue) {
            System.exit(1);
        }
        Endless.build(env, args);
        env.execute(args.get("name", "exiting"));
        if (exit.equals("after") && isDue) {
            System.exit(1);
        }
    }

    /** How often main() was executed in this way, this time included. */
    private static int executions(Args args, String now) throws Exception {
        Path log = Paths.get(args.get("log", ""));
        if (log.toString().isEmpty()) {
            return 1;
        }
        Files.write(
                log, Collections.singleton(now), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        List<String> lines = Files.readAllLines(log);
        return Collections.frequency(lines, now);
    }
}
