"""`python -m cnnlib …`: what keeps the workbook in order, from the command line."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from cnnlib import project


def main(arguments: Sequence[str] | None = None, root: Path | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words of the command line; this process's own when None.
        root: the checkout to work on; the one that cnnlib stands in when None.

    Returns:
        The exit status: 0 when all is well.
    """
    parser = argparse.ArgumentParser(prog="python -m cnnlib", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("doctor", help="look at this machine and say what to mend")
    sync = commands.add_parser("sync", help="bring notebooks, their text and their outputs in step")
    sync.add_argument(
        "notebooks", nargs="*", help="such as 02 or 02_convolution; all when left out"
    )
    sync.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of step")
    sync.add_argument("--all", action="store_true", help="run every notebook, changed or not")
    sync.add_argument("--no-run", action="store_true", help="run nothing")
    sync.add_argument("--prefer", choices=("ipynb", "md"), help="the side to keep if both changed")
    options = parser.parse_args(arguments)
    return _doctor() if options.command == "doctor" else _sync(options, root or project.root())


def _doctor() -> int:
    from cnnlib.doctor import doctor

    report = doctor()
    print(report)
    return 0 if report.ok else 1


def _sync(options: argparse.Namespace, root: Path | None) -> int:
    if root is None:
        print("sync works on a checkout of the workbook, and this cnnlib stands outside of one")
        return 1
    from cnnlib.machinery.pairs import SyncError
    from cnnlib.machinery.sync import Options, sync

    what = Options(run=not options.no_run, run_all=options.all, prefer=options.prefer)
    try:
        return sync(root, project.address(root), options.notebooks, what, check=options.check)
    except SyncError as error:
        print(error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
