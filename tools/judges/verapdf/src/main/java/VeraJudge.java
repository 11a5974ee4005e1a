import java.io.File;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.logging.Level;
import java.util.logging.LogManager;
import java.util.logging.Logger;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;
import org.verapdf.pdfa.results.ValidationResult;

/**
 * veraPDF as a judge: one line of JSON for each file and flavour.
 *
 * <pre>java -jar verapdf.jar --flavour 2a [--flavour ua1]... FILE...</pre>
 *
 * The flavour is always the one asked for, never the one a file claims: a file that stopped claiming PDF/A must fail
 * PDF/A, not be judged as something else. Standard output, one line for each pair:
 *
 * <pre>{"file", "flavour", "compliant", "failures": [{"rule", "message", "context", "count"}], "error": text|null}</pre>
 *
 * with "rule" as clause-test, for example "6.7.3-1", and one line a rule however often it failed. A file that veraPDF
 * cannot read is not compliant and has "error". Exit 0 when every file was judged, whatever the verdicts; 2 on wrong
 * usage.
 */
public final class VeraJudge {
    private VeraJudge() {
    }

    public static void main(String[] arguments) {
        LogManager.getLogManager().reset();
        Logger.getLogger("").setLevel(Level.OFF);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        VeraGreenfieldFoundryProvider.initialise();
        List<PDFAFlavour> flavours = new ArrayList<>();
        List<File> files = new ArrayList<>();
        for (int i = 0; i < arguments.length; i++) {
            if (!arguments[i].equals("--flavour")) {
                files.add(new File(arguments[i]));
            } else if (++i < arguments.length && PDFAFlavour.getFlavourIds().contains(arguments[i])) {
                flavours.add(PDFAFlavour.byFlavourId(arguments[i]));
            } else {
                usage();
            }
        }
        if (flavours.isEmpty() || files.isEmpty()) {
            usage();
        }
        for (File file : files) {
            for (PDFAFlavour flavour : flavours) {
                out.println(json(judge(file, flavour)));
            }
        }
    }

    private static void usage() {
        System.err.println("usage: --flavour ID [--flavour ID] FILE...; ID one of " + PDFAFlavour.getFlavourIds());
        System.exit(2);
    }

    private static Map<String, Object> judge(File file, PDFAFlavour flavour) {
        Map<String, Object> verdict = new LinkedHashMap<>();
        verdict.put("file", file.getPath());
        verdict.put("flavour", flavour.getId());
        try (PDFAParser parser = Foundries.defaultInstance().createParser(file, flavour);
                PDFAValidator validator = Foundries.defaultInstance().createValidator(flavour, false)) {
            ValidationResult result = validator.validate(parser);
            verdict.put("compliant", result.isCompliant());
            verdict.put("failures", failures(result));
            verdict.put("error", null);
        } catch (Exception | StackOverflowError | OutOfMemoryError unreadable) {
            verdict.put("compliant", false);
            verdict.put("failures", List.of());
            verdict.put("error", unreadable.getClass().getSimpleName() + ": " + unreadable.getMessage());
        }
        return verdict;
    }

    private static List<Object> failures(ValidationResult result) {
        Map<String, Map<String, Object>> rules = new LinkedHashMap<>();
        for (TestAssertion assertion : result.getTestAssertions()) {
            if (assertion.getStatus() != TestAssertion.Status.FAILED) {
                continue;
            }
            String rule = assertion.getRuleId().getClause() + "-" + assertion.getRuleId().getTestNumber();
            rules.computeIfAbsent(rule, unseen -> {
                Map<String, Object> failure = new LinkedHashMap<>();
                failure.put("rule", rule);
                failure.put("message", assertion.getMessage());
                failure.put("context", assertion.getLocation().getContext());
                failure.put("count", 0);
                return failure;
            }).merge("count", 1, (before, one) -> (Integer) before + (Integer) one);
        }
        return new ArrayList<>(rules.values());
    }

    private static String json(Object value) {
        if (value == null || value instanceof Boolean || value instanceof Integer) {
            return String.valueOf(value);
        }
        if (value instanceof List<?> list) {
            return "[" + String.join(", ", list.stream().map(VeraJudge::json).toList()) + "]";
        }
        if (value instanceof Map<?, ?> map) {
            return "{" + String.join(", ", map.entrySet().stream()
                    .map(entry -> json(entry.getKey()) + ": " + json(entry.getValue())).toList()) + "}";
        }
        StringBuilder text = new StringBuilder("\"");
        value.toString().chars().forEach(c -> text.append(
                c < 0x20 || c == '"' || c == '\\' ? String.format("\\u%04x", c) : String.valueOf((char) c)));
        return text.append('"').toString();
    }
}
