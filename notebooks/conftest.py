"""How pytest runs the notebooks: what nbval leaves out.

Each code cell is one test item; nbval runs it and compares its output with the stored one. Here:
one thread for a kernel and an empty home for a learner's progress; a cell that raised ends its
notebook; stderr fails a cell; a notebook that takes longer than it declares fails; a table at the
end.
"""

import os
import tempfile

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

# A cell's output may come late on a busy machine; nbval waits 5 s and has no option for it.
OUTPUT_WAIT_S = 60
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
rows: dict[str, dict] = {}  # of the table, by notebook


def slowness() -> float:
    """How many times its declared seconds a notebook may take on this machine."""
    return float(os.environ.get("CNN_WORKBOOK_SLOWNESS", "3"))


def declared_s(notebook: IPyNbFile) -> int | None:
    """The seconds that a notebook declares; None when it declares none."""
    return notebook.nb.metadata.get("workbook", {}).get("run_s")


class RunTime(pytest.Item):
    """The last item of a notebook: did it keep to the seconds that it declares?"""

    def runtest(self):
        declared = declared_s(self.parent)
        if declared is None:
            pytest.fail("the notebook declares no `workbook.run_s` in its metadata", pytrace=False)
        took, limit = getattr(self.parent, "seconds", 0.0), declared * slowness()
        if took > limit:
            pytest.fail(
                f"took {took:.0f} s; it declares {declared} s, and {slowness():g} times that is "
                "allowed. Make it faster, declare more in `workbook.run_s`, or set "
                "CNN_WORKBOOK_SLOWNESS on a slow machine",
                pytrace=False,
            )

    def reportinfo(self):
        return self.path, 0, f"{self.path.name}::{self.name}"


def pytest_configure():
    for name in THREADS:  # kernels inherit them; several kernels share the cores
        os.environ[name] = "1"
    os.environ.pop("MPLBACKEND", None)  # the kernel's own backend stores the pictures


def pytest_collection_modifyitems(items):
    """Put the run-time item after the last cell of each notebook."""
    last = {item.parent: item for item in items if isinstance(item, IPyNbCell)}
    for notebook, cell in last.items():
        items.insert(items.index(cell) + 1, RunTime.from_parent(notebook, name="run time"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if not isinstance(item.parent, IPyNbFile):
        return
    if item.parent.kernel is None:  # the kernel starts after this, in the collector's own set-up
        item.parent.home = tempfile.TemporaryDirectory(prefix="cnn-workbook-")
        os.environ["CNN_WORKBOOK_HOME"] = item.parent.home.name
    if stopped_at := getattr(item.parent, "stopped_at", None):
        pytest.skip(f"{stopped_at} did not run to its end")
    if isinstance(item, IPyNbCell):
        item.output_timeout = OUTPUT_WAIT_S
        kept = item.options["check"] and not item.options["skip"]
        item.user_properties.append(("cell", "compared" if kept else "excused"))
    item.user_properties.append(("declared", declared_s(item.parent)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    result = yield
    if isinstance(item, IPyNbCell) and "allow-stderr" not in item.cell.metadata.get("tags", []):
        written = [out.text for out in item.test_outputs or () if out.get("name") == "stderr"]
        if written:
            item.raise_cell_error(
                "Cell wrote to stderr (a warning?); mend it, or tag the cell allow-stderr",
                "".join(written),
            )
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if isinstance(item, IPyNbCell):
        item.parent.seconds = getattr(item.parent, "seconds", 0.0) + call.duration
        # Cells after one that only printed something else can still be judged; after an exception
        # they would fail for want of a name.
        raised = any(out.output_type == "error" for out in item.test_outputs or ())
        expected = item.options["check_exception"]
        if report.failed and (item.parent.timed_out or (raised and not expected)):
            item.parent.stopped_at = item.name
    return report


@pytest.hookimpl(trylast=True)
def pytest_runtest_logreport(report):
    """Gather the table's numbers; under xdist this runs where the table is printed."""
    properties = dict(report.user_properties)
    name, _, _ = report.nodeid.partition("::")
    if not name.endswith(".ipynb"):
        return
    row = rows.setdefault(name, {"compared": 0, "excused": 0, "seconds": 0.0, "declared": None})
    row["seconds"] += report.duration
    row["declared"] = properties.get("declared", row["declared"])
    if report.when == "call" and "cell" in properties:
        row[properties["cell"]] += 1


def pytest_terminal_summary(terminalreporter):
    if not rows:
        return
    terminalreporter.section("notebooks")
    terminalreporter.line(f"{'':<40} compared  excused  seconds  declared")
    for name, row in sorted(rows.items()):
        terminalreporter.line(
            f"{name:<40} {row['compared']:>8}  {row['excused']:>7}  {row['seconds']:>7.1f}  "
            f"{row['declared'] or '–':>8}"
        )
