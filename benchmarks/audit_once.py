"""One audit in a process of its own; prints seconds and peak memory.

Nothing is imported at the top: the processes that an audit starts load this module too, as they load the short
script that is `probans`, and their start is part of what is measured.
"""

from __future__ import annotations


def main() -> None:
    """Audit the log in the folder named first, `raw` or `whole`, in as many processes as said."""
    import json
    import re
    import sys
    import time
    from pathlib import Path

    from vault.evidence.ledger_source import FolderLedger
    from vault.ledger.policy import Policy
    from vault.ledger.published import Work, audit_published

    folder, kind, processes = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    policy = Policy.from_vkeys((folder / "vkeys").read_bytes())
    begun = time.perf_counter()
    report = audit_published(FolderLedger(folder), policy, work=Work(processes, raw=kind == "raw"))
    seconds = time.perf_counter() - begun
    if not report.ok:
        raise SystemExit(f"the audit found problems: {report.problems}")
    # Not getrusage: what it says begins with the peak of the process that started this one.
    (peak,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    print(json.dumps({"seconds": seconds, "peak_mib": int(peak) / 1024}))


if __name__ == "__main__":
    main()
