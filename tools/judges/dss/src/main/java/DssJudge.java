import eu.europa.esig.dss.diagnostic.CertificateWrapper;
import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.diagnostic.SignatureWrapper;
import eu.europa.esig.dss.diagnostic.jaxb.XmlSignatureScope;
import eu.europa.esig.dss.enumerations.SignatureScopeType;
import eu.europa.esig.dss.jaxb.object.Message;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.model.policy.ValidationPolicy;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.policy.ValidationPolicyLoader;
import eu.europa.esig.dss.validation.reports.Reports;
import eu.europa.esig.dss.validation.timestamp.DetachedTimestampValidator;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStream;
import java.io.PrintStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import javax.xml.XMLConstants;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.NodeList;

/**
 * EU DSS as a judge: one line of JSON for each file, nothing fetched, only the given roots trusted.
 *
 * <pre>java -jar dss.jar --trust roots.pem [--crl FILE]... [--detached FILE] FILE... [--timestamp TOKEN]...</pre>
 *
 * FILE is a PDF, an ASiC container or a CMS signature; TOKEN is a bare RFC 3161 TimeStampToken (not the whole
 * TimeStampResp). {@code --detached} names the content of every signature or token that follows it. {@code --crl}
 * hands in revocation data for what cannot carry its own, such as a bare token.
 *
 * The policy is the one DSS ships, made stricter: changes after a signature, which it only warns of, fail; revocation
 * data is wanted for every certificate below the root. Standard output, one line a file:
 *
 * <pre>{"file", "signatures": [{"indication", "subIndication", "level", "signedBy", "wholeDocument", "revocation",
 * "errors": [text], "warnings": [text], "timestamps": [TIMESTAMP]}], "timestamps": [TIMESTAMP], "error": text|null}</pre>
 *
 * with TIMESTAMP = {@code {"indication", "subIndication", "genTime", "producedBy", "errors", "warnings"}}. A file that
 * DSS cannot read has "error" and empty lists. Exit 0 when every file was judged, whatever the verdicts; 2 on wrong
 * usage.
 */
public final class DssJudge {
    /** Constraints that DSS's own policy only warns of, or wants for some certificates only. */
    private static final List<String> RAISED_TO_FAIL = List.of(
            "ByteRangeCollision", "PdfAnnotationOverlap", "PdfVisualDifference", "DocMDP", "FieldMDP", "SigFieldLock",
            "UndefinedChanges", "RevocationDataAvailable", "AcceptableRevocationDataFound");

    private final CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
    private final List<DSSDocument> crls = new ArrayList<>();
    private final ValidationPolicy policy = strictPolicy();

    private DssJudge() throws Exception {
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        if (arguments.length == 0 || arguments[arguments.length - 1].startsWith("--")) {
            System.err.println("usage: --trust roots.pem [--crl FILE] [--detached FILE] FILE... [--timestamp TOKEN]");
            System.exit(2);
        }
        DssJudge judge = new DssJudge();
        File detached = null;
        for (int i = 0; i < arguments.length; i++) {
            switch (arguments[i]) {
                case "--trust" -> judge.trust(Path.of(arguments[++i]));
                case "--crl" -> judge.crls.add(new FileDocument(arguments[++i]));
                case "--detached" -> detached = new File(arguments[++i]);
                case "--timestamp" -> out.println(json(judge.judge(new File(arguments[++i]), detached, true)));
                default -> out.println(json(judge.judge(new File(arguments[i]), detached, false)));
            }
        }
    }

    private void trust(Path pem) throws Exception {
        try (InputStream in = Files.newInputStream(pem)) {
            for (var certificate : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                anchors.addCertificate(new CertificateToken((X509Certificate) certificate));
            }
        }
    }

    /** DSS's default policy with {@link #RAISED_TO_FAIL} applied; a constraint that vanished is an error. */
    private static ValidationPolicy strictPolicy() throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        factory.setFeature(XMLConstants.FEATURE_SECURE_PROCESSING, true);
        Document xml;
        try (InputStream in = DssJudge.class.getResourceAsStream("/policy/constraint.xml")) {
            xml = factory.newDocumentBuilder().parse(in);
        }
        for (String name : RAISED_TO_FAIL) {
            NodeList constraints = xml.getElementsByTagNameNS("*", name);
            if (constraints.getLength() == 0) {
                throw new IllegalStateException("the policy of this version of DSS knows no " + name);
            }
            for (int i = 0; i < constraints.getLength(); i++) {
                ((Element) constraints.item(i)).setAttribute("Level", "FAIL");
            }
        }
        ByteArrayOutputStream text = new ByteArrayOutputStream();
        TransformerFactory.newInstance().newTransformer().transform(new DOMSource(xml), new StreamResult(text));
        return ValidationPolicyLoader.fromValidationPolicy(new ByteArrayInputStream(text.toByteArray()))
                .withDefaultCryptographicSuite().create();
    }

    private Map<String, Object> judge(File file, File detached, boolean token) {
        Map<String, Object> verdict = new LinkedHashMap<>();
        List<Object> signatures = new ArrayList<>();
        List<Object> timestamps = new ArrayList<>();
        verdict.put("file", file.getPath());
        verdict.put("signatures", signatures);
        verdict.put("timestamps", timestamps);
        verdict.put("error", null);
        try {
            Reports reports = validate(new FileDocument(file), detached, token);
            SimpleReport report = reports.getSimpleReport();
            DiagnosticData found = reports.getDiagnosticData();
            for (String id : report.getSignatureIdList()) {
                signatures.add(signature(report, found.getSignatureById(id), file.length()));
            }
            for (String id : report.getTimestampIdList()) {
                timestamps.add(timestamp(report, id));
            }
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError unreadable) {
            signatures.clear();
            timestamps.clear();
            verdict.put("error", unreadable.getClass().getSimpleName() + ": " + unreadable.getMessage());
        }
        return verdict;
    }

    private Reports validate(DSSDocument document, File detached, boolean token) {
        CommonCertificateVerifier verifier = new CommonCertificateVerifier();
        verifier.setAIASource(null);
        verifier.setOcspSource(null);
        verifier.setCrlSource(new ExternalResourcesCRLSource(crls.toArray(new DSSDocument[0])));
        verifier.setTrustedCertSources(anchors);
        SignedDocumentValidator validator =
                token ? new DetachedTimestampValidator(document) : SignedDocumentValidator.fromDocument(document);
        validator.setCertificateVerifier(verifier);
        if (detached != null) {
            validator.setDetachedContents(List.of(new FileDocument(detached)));
        }
        return validator.validateDocument(policy);
    }

    private static Map<String, Object> signature(SimpleReport report, SignatureWrapper found, long fileSize) {
        String id = found.getId();
        Map<String, Object> told = new LinkedHashMap<>();
        told.put("indication", report.getIndication(id));
        told.put("subIndication", report.getSubIndication(id));
        told.put("level", report.getSignatureFormat(id));
        told.put("signedBy", report.getSignedBy(id));
        told.put("wholeDocument", coversAll(found, fileSize));
        told.put("revocation", revocationKnown(found.getCertificateChain()));
        told.put("errors", texts(report.getAdESValidationErrors(id)));
        told.put("warnings", texts(report.getAdESValidationWarnings(id)));
        List<Object> timestamps = new ArrayList<>();
        report.getSignatureTimestamps(id).forEach(each -> timestamps.add(timestamp(report, each.getId())));
        told.put("timestamps", timestamps);
        return told;
    }

    /**
     * True if nothing escapes the signature. For a PDF the ByteRange must reach the last octet of the file: DSS itself
     * passes files whose tail, after the last revision, no reader looks at.
     */
    private static boolean coversAll(SignatureWrapper found, long fileSize) {
        if (found.getPDFRevision() != null) {
            List<BigInteger> range = found.getPDFRevision().getSignatureByteRange();
            return range != null && range.size() == 4 && range.get(0).signum() == 0
                    && range.get(2).add(range.get(3)).longValueExact() == fileSize;
        }
        List<XmlSignatureScope> scopes = found.getSignatureScopes();
        return scopes != null && !scopes.isEmpty()
                && scopes.stream().allMatch(scope -> scope.getScope() == SignatureScopeType.FULL);
    }

    private static boolean revocationKnown(List<CertificateWrapper> chain) {
        return !chain.isEmpty()
                && chain.stream().allMatch(each -> each.isTrusted() || each.isRevocationDataAvailable());
    }

    private static Map<String, Object> timestamp(SimpleReport report, String id) {
        Map<String, Object> told = new LinkedHashMap<>();
        Date time = report.getProductionTime(id);
        told.put("indication", report.getIndication(id));
        told.put("subIndication", report.getSubIndication(id));
        told.put("genTime", time == null ? null : DSSUtils.formatDateToRFC(time));
        told.put("producedBy", report.getProducedBy(id));
        told.put("errors", texts(report.getAdESValidationErrors(id)));
        told.put("warnings", texts(report.getAdESValidationWarnings(id)));
        return told;
    }

    private static List<String> texts(List<Message> messages) {
        return messages.stream().map(Message::getValue).toList();
    }

    private static String json(Object value) {
        if (value == null || value instanceof Boolean) {
            return String.valueOf(value);
        }
        if (value instanceof List<?> list) {
            return "[" + String.join(", ", list.stream().map(DssJudge::json).toList()) + "]";
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
