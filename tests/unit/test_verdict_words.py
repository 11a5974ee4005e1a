# ruff: noqa: E501, ISC004 - sentences stand whole in the table
"""Every code that can reach a verdict has words in both languages; each case has a sentence of its own."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from api.web.check_words import CHECK_GROUPS
from api.web.verdicts import group
from signing.judgement import Change, ChangeKind
from vault.evidence.change_words import change_text, change_words, changes_summary
from vault.evidence.explanations import EXPLANATIONS
from vault.evidence.findings import (
    Check,
    LedgerFinding,
    LineFinding,
    Outcome,
    Reason,
    SignatureFinding,
    StatusFinding,
    TimestampFinding,
    Verdict,
)
from vault.evidence.report import INDETERMINATE_CODES, Judgement, filed, plain
from vault.evidence.sentences import SENTENCES, case_of
from vault.evidence.wording import LANGUAGES, TIME_SOURCES, lines, sentence
from vault.verification.limits import Stop, stopped

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|REVOKED|EXPIRED")
# Constants that look like codes and never come out of a verifier.
NO_REASONS = {
    # of sealing, of keys and of asking an authority, whose modules a verifier loads too
    "KEY_UNAVAILABLE", "KEY_UNUSABLE", "RESERVE_EXCEEDED", "REVOCATION_STALE", "SIGNING_ERROR", "PDF_ALREADY_SIGNED",
    "PDF_DAMAGED", "PDF_UNSUPPORTED", "SEAL_KEY_MISSING", "SOURCE_CHANGED", "TIMESTAMP_ERROR", "TSA_CLOCK", "TSA_MISCONFIGURED",
    "TSA_UNAVAILABLE",
    "PARTS_INVALID", "POLICY_INVALID", "LOG_KEY_UNSTATED",
    # names of constants in __all__
    "INDETERMINATE_CODES", "EXIT_CODES", "EMPTY_ROOT", "HASH_SIZE", "MAX_PROOF", "TILE_HEIGHT", "TILE_WIDTH",
    "DOC_TIMESTAMP",
}  # fmt: skip


def reasons_in_source() -> dict[str, str]:
    """Every constant in the modules that a verifier loads that has the form of a code, and where it stands."""
    listing = (
        "import sys, vault.evidence.verify\n"
        "print(*(each.__file__ for each in sys.modules.values() if getattr(each, '__file__', None)), sep='\\n')"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.splitlines()
    ours = [ROOT / name for name in ("signing", "timestamping", "vault/evidence", "vault/ledger")]
    found: dict[str, str] = {}
    for name in map(Path, loaded):
        if name.parent in ours and not name.name.startswith("explanations"):
            for node in ast.walk(ast.parse(name.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and CODE.fullmatch(node.value)
                ):
                    found[node.value] = name.name
    return found


def test_every_code_that_is_raised_has_words() -> None:
    found = reasons_in_source()
    assert len(found) > 80, "the search finds nothing any more"
    assert set(found) - set(EXPLANATIONS) <= NO_REASONS
    assert set(EXPLANATIONS) >= INDETERMINATE_CODES
    assert {stop.value for stop in Stop} <= INDETERMINATE_CODES
    for french, english in EXPLANATIONS.values():
        assert french
        assert english
        assert french != english
        assert not french.endswith(".")
        assert not english.endswith(".")


def test_every_code_is_in_the_documented_table() -> None:
    text = (ROOT / "docs" / "evidence-format.md").read_text(encoding="utf-8")
    table = text.partition("## 13.")[2].partition("## 14.")[0]
    documented = set(re.findall(r"`([A-Z_]+)`", table))
    # What the ledger's readers say of a tree or a key comes out under the names of the receipt it was met in.
    assert set(reasons_in_source()) - NO_REASONS - {"OBJECT_MISSING", "SIGNATURE_INVALID"} <= documented


def signature(outcome: Outcome, **changes: object) -> SignatureFinding:
    values: dict[str, object] = {
        "level": "PAdES-B-B",
        "signer": "Préfecture",
        "signing_time": None,
        "form": "PAdES",
    }
    return SignatureFinding(outcome, **{**values, **changes})  # type: ignore[arg-type]


def refused(outcome: Outcome, code: str, *signatures: SignatureFinding, check: str = "document.x") -> Verdict:
    return Verdict(outcome, (Reason(code, f"{check}: why"),), signatures, checks=(Check(check, outcome),))


def passed(*signatures: SignatureFinding, **changes: object) -> Verdict:
    return Verdict(
        Outcome.PASSED,
        (),
        signatures,
        checks=(Check("document.x", Outcome.PASSED),),
        **changes,  # type: ignore[arg-type]
    )


STAMP = TimestampFinding("2024-05-01T10:00:00Z", "Autorité", "1.2", False, Outcome.PASSED)
P, F, U = Outcome.PASSED, Outcome.FAILED, Outcome.INDETERMINATE
CASES = [
    (passed(signature(P)), "authentic",
     "Ce document est authentique : émis par Préfecture, date non prouvée, non modifié depuis."),
    (passed(signature(P, signing_time="2024-05-01T10:00:00Z", timestamps=(STAMP,))), "authentic",
     "Ce document est authentique : émis par Préfecture, daté du 2024-05-01T10:00:00Z par Autorité, non modifié depuis."),
    (passed(signature(P, changes_after=("form field filled: A", "form field filled: B", "long-term data"))),
     "authentic", "Ce document est authentique : émis par Préfecture, date non prouvée, et depuis, seulement : "
     "2 champs de formulaire remplis."),
    (passed(signature(P, revocation="unchecked")), "authentic",
     "Ce document est authentique : émis par Préfecture, date non prouvée, non modifié depuis ; la révocation du "
     "certificat n'a pas pu être contrôlée."),
    (passed(signature(P), signature(P, signer="Mairie"), signature(P, signer="{oops}")), "authentic",
     "Ce document est authentique : signé par Préfecture, Mairie et {oops}, date non prouvée, non modifié depuis."),
    (passed(signature(P, level="CAdES-B-T", form=""), status=StatusFinding("revoked", 1, None, "bundle")),
     "authentic", "Ce document est authentique : il porte le cachet de Préfecture, date non prouvée, non modifié "
     "depuis ; son registre n'est pas vérifié ; mais il est révoqué."),
    (passed(signature(P, level="timestamp", signer="Autorité", signing_time="2024-05-01T10:00:00Z", form="")), "time",
     "La date est prouvée : le fichier donné existait le 2024-05-01T10:00:00Z, selon Autorité."),
    (refused(F, "PDF_CONTENT_CHANGED", signature(F)), "changed",
     "Ce document a été modifié après la signature de Préfecture : ne vous y fiez pas (ce que montre le document a été "
     "modifié après la signature)."),
    (refused(F, "HASH_FAILURE", signature(F, signer="")), "changed",
     "Ce document a été modifié après la signature : ne vous y fiez pas (le contenu n'est pas celui qui a été signé)."),
    (refused(F, "HASH_FAILURE", signature(P), check="original"), "other_file",
     "Le fichier donné n'est pas celui sur lequel porte cette preuve."),
    (refused(F, "HASH_FAILURE", signature(F, level="timestamp"), check="document.timestamp.imprint"), "other_file",
     "Le fichier donné n'est pas celui sur lequel porte cette preuve."),
    (refused(F, "HASH_FAILURE", signature(F, level="evidence record"), check="document.record.imprint"), "stamp",
     "Une preuve de date de ce fichier n'est pas valable : le contenu n'est pas celui qui a été signé."),
    (refused(F, "HASH_FAILURE", signature(U), signature(F, level="document timestamp")), "stamp",
     "Une preuve de date de ce fichier n'est pas valable : le contenu n'est pas celui qui a été signé."),
    (refused(F, "HASH_FAILURE", signature(F), check="document.signature[0].timestamp[0]"), "stamp",
     "Une preuve de date de ce fichier n'est pas valable : le contenu n'est pas celui qui a été signé."),
    (refused(F, "REVOKED", signature(F)), "invalid",
     "La signature de Préfecture n'est pas valable : le certificat était déjà révoqué au moment de la signature."),
    (refused(F, "FORMAT_FAILURE"), "false",
     "Ce fichier n'est pas authentique : le fichier n'a pas la forme exacte attendue : il est abîmé ou a été retouché."),
    (refused(U, "NO_CERTIFICATE_CHAIN_FOUND", signature(U)), "stranger",
     "Le document est intact, mais l'identité de l'émetteur (Préfecture) n'est pas connue ici : l'identité du signataire "
     "ne mène à aucune racine à laquelle vous faites confiance."),
    (refused(U, "NO_CERTIFICATE_CHAIN_FOUND", signature(U, signer="", changes_after=("further signature: B",))),
     "stranger", "Le document est intact (depuis, seulement : autre signature), mais l'identité de l'émetteur n'est pas "
     "connue ici : l'identité du signataire ne mène à aucune racine à laquelle vous faites confiance."),
    (refused(U, "NO_SIGNATURE_FOUND"), "nothing",
     "Rien dans ce fichier ne prouve son origine ; cela ne veut pas dire qu'il est faux."),
    (refused(U, "PDF_AMBIGUOUS", signature(U)), "unsure",
     "On ne peut pas conclure : la structure du fichier est défectueuse : il peut s'afficher autrement selon le "
     "logiciel."),
    (Verdict(P, ledger=LedgerFinding(P, "safe.example/ledger/1", 10, (3,), None), line=LineFinding("document.read", True)), "line",
     "Cette ligne du journal des accès est authentique : elle est l'inscription n° 3 du registre safe.example/ledger/1."),
    (stopped(Stop.TIME), "unsure",
     "On ne peut pas conclure : le contrôle de ce fichier a dépassé le temps permis."),
]  # fmt: skip


@pytest.mark.parametrize(("verdict", "case", "french"), CASES)
def test_each_case_has_its_sentence(verdict: Verdict, case: str, french: str) -> None:
    assert case_of(verdict) == case
    assert sentence(verdict, "fr") == french
    english = sentence(verdict, "en")
    assert english != french
    assert english.endswith(".")
    # What is not proven is never said: only a PASSED speaks of authenticity without a "not".
    assert ("authentic: " in english and "not authentic" not in english) is (case in {"authentic", "line"})


def test_all_cases_are_shown_above() -> None:
    assert {case for _, case, _ in CASES} == set(SENTENCES)


def test_a_missing_root_and_a_doubt_are_not_a_document_that_is_intact() -> None:
    doubt = Verdict(
        U,
        (Reason("NO_CERTIFICATE_CHAIN_FOUND", "a: b"), Reason("PDF_AMBIGUOUS", "c: d")),
        (signature(U),),
        checks=(Check("a", U), Check("c", U)),
    )
    assert case_of(doubt) == "unsure"
    assert "intact" not in sentence(doubt, "en")


def test_changes_are_said_in_both_languages() -> None:
    changes = [Change(kind, "Nom\u202e\n", 2, 100) for kind in ChangeKind]
    texts = [change_text(change) for change in changes]
    assert texts[3] == "form field filled: Nom, page 2"
    assert change_text(Change(ChangeKind.DSS, "", None, 1)) == "long-term data"
    assert change_words(texts[3], "fr") == "champ de formulaire rempli : Nom, page 2"
    assert change_words("long-term data", "fr") == "données de validation ajoutées"
    assert change_words("something: else", "fr") == "something: else"
    for text, language in product(texts, LANGUAGES):
        assert change_words(text, language).count("Nom") == 1
    assert (
        changes_summary(texts, "en") == "document timestamp, further signature, form field filled, annotation"
    )
    assert changes_summary(["long-term data", "properties"], "fr") == ""
    assert changes_summary(["odd"], "fr") == "autres modifications"


def test_lines_say_when_a_certificate_was_judged() -> None:
    for source in TIME_SOURCES:
        found = signature(
            P,
            best_time="2024-05-01T10:00:00Z",
            time_source=source,
            field="Sig1",
            changes_after=("annotation: x",),
        )
        text = "\n".join(lines(passed(found), "fr"))
        assert "Certificat jugé à la date du 2024-05-01T10:00:00Z" in text
        assert TIME_SOURCES[source][0] in text
        assert "document, Sig1" in text
        assert "Depuis la signature : annotation : x" in text


def test_no_memory_is_never_the_file_s_fault() -> None:
    def read() -> None:
        try:
            raise MemoryError
        except MemoryError as error:
            raise ValueError("cannot be read") from error

    judgement = Judgement()
    judgement.attempt("document", read)
    assert judgement.worst is U
    assert judgement.reasons[0].code == "VERIFIER_MEMORY_LIMIT"
    assert filed(MemoryError())[2]
    assert filed(ValueError())[0] == "FORMAT_FAILURE"


def test_text_from_a_file_cannot_pose_as_something_else() -> None:
    judgement = Judgement()
    judgement.refuse("a", "HASH_FAILURE", "x\x1b[2J\u202ey\ud800", "e\n", "é" * 20_000)
    assert judgement.reasons[0].message == "a: x[2Jy"
    assert judgement.checks[0].expected == "e"
    assert len(judgement.checks[0].found) < 9000
    assert plain("Zoé, 日本") == "Zoé, 日本"


def test_checks_of_anybody_s_signature_stand_under_their_meaning() -> None:
    names = ["coverage", "integrity", "signer", "changes", "path", "revocation", "algorithms", "timestamp[0]",
             "timestamps", "level"]  # fmt: skip
    checks = [Check(f"document.signature[1].{name}", P) for name in names]
    checks += [
        Check("document.timestamp.imprint", P),
        Check("document.record.data[0]", P),
        Check("verifier", U),
    ]
    other = {words for _, _, words in CHECK_GROUPS}
    for language in LANGUAGES:
        groups = group(checks, language)
        column = LANGUAGES.index(language)
        assert all(any(each.words == words[column] for words in other) for each in groups), groups
