"""The README's course table, made from the notebooks and their exercises."""

from pathlib import Path

from cnnlib.machinery.generated import card, colab_badge, exercises_of, title
from cnnlib.machinery.pairs import SyncError, read_notebook

BEGIN, END = "<!-- course:begin -->", "<!-- course:end -->"


def course_table(folder: Path, address: str) -> str:
    """The course as a Markdown table, one notebook a row, in order.

    Args:
        folder: where the notebooks are.
        address: the repository's address, for the Colab badges.
    """
    rows = ["| NN | Notebook | Exercises | Time | Colab |", "|---|---|---|---|---|"]
    for path in sorted(folder.glob("[0-9][0-9]_*.ipynb")):
        notebook = read_notebook(path)
        number, name, promise = title(notebook)
        mine = exercises_of(number)
        points = sum(exercise.points for exercise in mine)
        exercises = f"{len(mine)} ({points} points)" if mine else "–"
        link = f"[{name}]({folder.name}/{path.name})"
        badge = colab_badge(address, path.name).replace("this notebook", f"notebook {number}")
        practice = sum(exercise.minutes for exercise in mine)
        minutes = f"{card(notebook)['minutes']} + {practice} min"
        rows.append(f"| {number} | **{link}** · {promise} | {exercises} | {minutes} | {badge} |")
    return "\n".join(rows)


def readme_with_course(readme: str, folder: Path, address: str) -> str:
    """The README with its course table made anew; unchanged when it has no markers for one."""
    if BEGIN not in readme and END not in readme:
        return readme
    if (
        readme.count(BEGIN) != 1
        or readme.count(END) != 1
        or readme.index(END) < readme.index(BEGIN)
    ):
        raise SyncError(f"expected {BEGIN} once and {END} once after it")
    before, rest = readme.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n{course_table(folder, address)}\n{END}{after}"
