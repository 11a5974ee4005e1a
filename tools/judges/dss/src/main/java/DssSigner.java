import eu.europa.esig.dss.asic.cades.ASiCWithCAdESSignatureParameters;
import eu.europa.esig.dss.asic.cades.signature.ASiCWithCAdESService;
import eu.europa.esig.dss.cades.CAdESSignatureParameters;
import eu.europa.esig.dss.cades.signature.CAdESService;
import eu.europa.esig.dss.enumerations.ASiCContainerType;
import eu.europa.esig.dss.enumerations.CertificationPermission;
import eu.europa.esig.dss.enumerations.DigestAlgorithm;
import eu.europa.esig.dss.enumerations.EncryptionAlgorithm;
import eu.europa.esig.dss.enumerations.SignatureAlgorithm;
import eu.europa.esig.dss.enumerations.SignatureLevel;
import eu.europa.esig.dss.enumerations.SignaturePackaging;
import eu.europa.esig.dss.model.DSSDocument;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.model.SignatureValue;
import eu.europa.esig.dss.model.ToBeSigned;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.pades.PAdESSignatureParameters;
import eu.europa.esig.dss.pades.SignatureImageParameters;
import eu.europa.esig.dss.pades.SignatureImageTextParameters;
import eu.europa.esig.dss.pades.signature.PAdESService;
import eu.europa.esig.dss.signature.AbstractSignatureParameters;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.spi.x509.revocation.crl.ExternalResourcesCRLSource;
import eu.europa.esig.dss.spi.x509.tsp.KeyEntityTSPSource;
import java.io.BufferedReader;
import java.io.File;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Signature;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.RSAKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Date;
import java.util.List;

/**
 * EU DSS as a maker of signed files for the tests: nothing fetched.
 *
 * <pre>java -cp dss.jar DssSigner --trust roots.pem --tsa tsa.p12 [--crl FILE]... {--sign FORM LEVEL KEY.p12 IN OUT}...
 * [--again FORM LEVEL KEY.p12 IN]</pre>
 *
 * FORM is pades, pades-visible, pades-certified, cades, cades-attached, asice or asics; LEVEL is B, T, LT or LTA. The keys
 * are on P-256 (those that sign may be RSA ones, for RSASSA-PSS), in PKCS#12 files with the password "password", with
 * their chain.
 */
public final class DssSigner {

    private static final char[] PASSWORD = "password".toCharArray();

    private final CommonTrustedCertificateSource anchors = new CommonTrustedCertificateSource();
    private final List<DSSDocument> crls = new ArrayList<>();
    private KeyEntityTSPSource authority;

    private DssSigner() {
    }

    public static void main(String[] arguments) throws Exception {
        DssSigner signer = new DssSigner();
        int i = 0;
        while (i < arguments.length) {
            switch (arguments[i++]) {
                case "--trust" -> signer.trust(Path.of(arguments[i++]));
                case "--crl" -> signer.crls.add(new FileDocument(arguments[i++]));
                case "--tsa" -> signer.authority = authority(Holder.read(arguments[i++]));
                case "--sign" -> {
                    String[] what = Arrays.copyOfRange(arguments, i, i + 5);
                    i += 5;
                    signer.make(what[0], what[1], Holder.read(what[2]), new File(what[3])).save(what[4]);
                }
                case "--again" -> {
                    String[] what = Arrays.copyOfRange(arguments, i, i + 4);
                    i += 4;
                    signer.again(what[0], what[1], Holder.read(what[2]), new File(what[3]));
                }
                default -> {
                    System.err.println("usage: --trust PEM --tsa P12 [--crl FILE] {--sign FORM LEVEL P12 IN OUT}... "
                            + "[--again FORM LEVEL P12 IN]");
                    System.exit(2);
                }
            }
        }
    }

    /** For each number read, signs the file so often and prints how many milliseconds each time took, as a JSON list. */
    private void again(String form, String level, Holder holder, File file) throws Exception {
        BufferedReader asked = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = asked.readLine(); line != null; line = asked.readLine()) {
            List<String> taken = new ArrayList<>();
            for (int left = Integer.parseInt(line.strip()); left > 0; left--) {
                long begun = System.nanoTime();
                make(form, level, holder, file).writeTo(OutputStream.nullOutputStream());
                taken.add(String.valueOf((System.nanoTime() - begun) / 1e6));
            }
            System.out.println("[" + String.join(", ", taken) + "]");
        }
    }

    private void trust(Path pem) throws Exception {
        try (InputStream in = Files.newInputStream(pem)) {
            for (var certificate : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                anchors.addCertificate(new CertificateToken((X509Certificate) certificate));
            }
        }
    }

    private static KeyEntityTSPSource authority(Holder holder) {
        List<X509Certificate> chain = holder.chain.stream().map(CertificateToken::getCertificate).toList();
        KeyEntityTSPSource source = new KeyEntityTSPSource(holder.key, chain.get(0), chain);
        source.setTsaPolicy("1.2.3.4");
        source.setDigestAlgorithm(DigestAlgorithm.SHA256);
        source.setEncryptionAlgorithm(EncryptionAlgorithm.ECDSA);
        return source;
    }

    private CommonCertificateVerifier verifier() {
        CommonCertificateVerifier verifier = new CommonCertificateVerifier();
        verifier.setAIASource(null);
        verifier.setOcspSource(null);
        verifier.setCrlSource(new ExternalResourcesCRLSource(crls.toArray(new DSSDocument[0])));
        verifier.setTrustedCertSources(anchors);
        return verifier;
    }

    private DSSDocument make(String form, String level, Holder holder, File file) throws Exception {
        DSSDocument document = new FileDocument(file);
        if (form.startsWith("pades")) {
            PAdESSignatureParameters parameters = holder.prepare(new PAdESSignatureParameters());
            parameters.setSignatureLevel(SignatureLevel.valueOf("PAdES_BASELINE_" + level));
            if (form.equals("pades-visible")) {
                SignatureImageTextParameters text = new SignatureImageTextParameters();
                text.setText("Vu et approuvé");
                SignatureImageParameters image = new SignatureImageParameters();
                image.setTextParameters(text);
                image.getFieldParameters().setOriginX(60);
                image.getFieldParameters().setOriginY(700);
                image.getFieldParameters().setWidth(200);
                image.getFieldParameters().setHeight(50);
                parameters.setImageParameters(image);
            }
            if (form.equals("pades-certified")) {
                parameters.setPermission(CertificationPermission.MINIMAL_CHANGES_PERMITTED);
            }
            PAdESService service = new PAdESService(verifier());
            service.setTspSource(authority);
            return service.signDocument(document, parameters, holder.sign(service.getDataToSign(document, parameters)));
        }
        if (form.startsWith("asic")) {
            ASiCWithCAdESSignatureParameters parameters = holder.prepare(new ASiCWithCAdESSignatureParameters());
            parameters.setSignatureLevel(SignatureLevel.valueOf("CAdES_BASELINE_" + level));
            parameters.aSiC().setContainerType(form.equals("asics") ? ASiCContainerType.ASiC_S : ASiCContainerType.ASiC_E);
            ASiCWithCAdESService service = new ASiCWithCAdESService(verifier());
            service.setTspSource(authority);
            return service.signDocument(document, parameters, holder.sign(service.getDataToSign(document, parameters)));
        }
        CAdESSignatureParameters parameters = holder.prepare(new CAdESSignatureParameters());
        parameters.setSignatureLevel(SignatureLevel.valueOf("CAdES_BASELINE_" + level));
        parameters.setSignaturePackaging(
                form.equals("cades-attached") ? SignaturePackaging.ENVELOPING : SignaturePackaging.DETACHED);
        CAdESService service = new CAdESService(verifier());
        service.setTspSource(authority);
        return service.signDocument(document, parameters, holder.sign(service.getDataToSign(document, parameters)));
    }

    /** A key with its chain. */
    private record Holder(PrivateKey key, List<CertificateToken> chain) {
        static Holder read(String file) throws Exception {
            KeyStore store = KeyStore.getInstance("PKCS12");
            try (InputStream in = Files.newInputStream(Path.of(file))) {
                store.load(in, PASSWORD);
            }
            String alias = store.aliases().nextElement();
            List<CertificateToken> chain = Arrays.stream(store.getCertificateChain(alias))
                    .map(each -> new CertificateToken((X509Certificate) each)).toList();
            return new Holder((PrivateKey) store.getKey(alias, PASSWORD), chain);
        }

        <P extends AbstractSignatureParameters<?>> P prepare(P parameters) {
            parameters.setSigningCertificate(chain.get(0));
            parameters.setCertificateChain(chain);
            parameters.setDigestAlgorithm(DigestAlgorithm.SHA256);
            if (key instanceof RSAKey) {
                parameters.setEncryptionAlgorithm(EncryptionAlgorithm.RSASSA_PSS);
            }
            parameters.bLevel().setSigningDate(new Date());
            return parameters;
        }

        SignatureValue sign(ToBeSigned octets) throws Exception {
            boolean rsa = key instanceof RSAKey;
            Signature signature = Signature.getInstance(rsa ? "RSASSA-PSS" : "SHA256withECDSA");
            if (rsa) {
                signature.setParameter(new PSSParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256, 32, 1));
            }
            signature.initSign(key);
            signature.update(octets.getBytes());
            return new SignatureValue(
                    rsa ? SignatureAlgorithm.RSA_SSA_PSS_SHA256_MGF1 : SignatureAlgorithm.ECDSA_SHA256, signature.sign());
        }
    }
}
