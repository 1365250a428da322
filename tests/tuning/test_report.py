"""What a study has found, in numbers and in pictures whose points are worked out here by hand."""

import re

import pytest

from object2vec.tuning import report
from object2vec.tuning.objective import Goal
from object2vec.tuning.search import Search
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Study, Trial

SPACE = Space.parse(
    {
        "learning_rate": {"min": 0.001, "max": 0.1, "scale": "Logarithmic"},
        "optimizer": ["adam", "sgd", "adagrad"],
    }
)
TRIALS = (
    Trial(1, {"learning_rate": 0.001, "optimizer": "adam"}, "completed", (5.0, 4.0), 4.0, 1.25),
    Trial(2, {"learning_rate": 0.01, "optimizer": "adagrad"}, "stopped", (6.0,), 6.0, 0.5),
    Trial(3, {"learning_rate": 0.1, "optimizer": "sgd"}, "completed", (2.0,), 2.0, 2.0),
    Trial(4, {"learning_rate": 0.1, "optimizer": "sgd"}, "failed", error="a < b"),
    Trial(5, {"learning_rate": 0.1, "optimizer": "adam"}, "running", (9.0,)),
)
LEFT, MIDDLE, RIGHT, TOP, BOTTOM = 48.0, 480.0, 912.0, 48.0, 272.0


def searched(path, metric="validation:mean_squared_error", trials=TRIALS, space=SPACE):
    study = Study.create(path / "study", {"objective": metric, "space": space.state()})
    for trial in trials:
        study.save(trial)
    return study, Search(space, Goal.parse(metric))


@pytest.fixture
def searching(tmp_path):
    return searched(tmp_path)


def test_the_best_come_first_and_those_without_a_value_last(tmp_path):
    order = [trial.number for trial in report.ranked(TRIALS, Goal.parse("test:mean_squared_error"))]
    assert order == [3, 1, 2, 4, 5]
    order = [trial.number for trial in report.ranked(TRIALS, Goal.parse("test:accuracy"))]
    assert order == [2, 1, 3, 4, 5]
    alike = [Trial(2, {}, value=0.0), Trial(1, {}, value=0.0), Trial(3, {}, value=-1.0)]
    order = [trial.number for trial in report.ranked(alike, Goal.parse("test:mean_squared_error"))]
    assert order == [3, 1, 2]


def test_the_table_of_the_terminal(searching):
    lines = report.table(*searching, most=4)
    assert [line.split() for line in lines[:5]] == [
        ["trial", "validation:mean_squared_error", "epochs", "state", "learning_rate", "optimizer"],
        ["3", "2", "1", "completed", "0.1", "sgd"],
        ["1", "4", "2", "completed", "0.001", "adam"],
        ["2", "6", "1", "stopped", "0.01", "adagrad"],
        ["4", "0", "failed", "0.1", "sgd"],
    ]
    starts = [line.index(text) for line, text in zip(lines, ("state", "completed"), strict=False)]
    assert len(set(starts)) == 1
    assert len([line for line in report.table(*searching) if "running" in line]) == 1
    assert not any(line.endswith(" ") for line in lines)


def test_a_study_without_trials_has_a_table_of_names_alone(tmp_path):
    (line,) = report.table(*searched(tmp_path, trials=()))
    names = ["trial", "validation:mean_squared_error", "epochs", "state"]
    assert line.split() == [*names, "learning_rate", "optimizer"]


def test_the_table_has_the_best_twenty(searching):
    study, search = searching
    for number in range(6, 30):
        study.save(Trial(number, TRIALS[0].values, "completed", (), float(number)))
    numbers = [int(line.split()[0]) for line in report.table(study, search)[1:21]]
    assert numbers == [3, 1, 2, *range(6, 23)]
    assert not report.table(study, search)[21][:1].isdigit()


def test_the_table_says_what_decides(tmp_path):
    values = [(rate, name) for rate in (0.001, 0.003, 0.01, 0.03) for name in ("adam", "sgd")]
    trials = [
        Trial(n, {"learning_rate": rate, "optimizer": name}, "completed", (), rate)
        for n, (rate, name) in enumerate(values, 1)
    ]
    study, search = searched(tmp_path, trials=trials)
    weights = search.importance(study.trials())
    assert weights["learning_rate"] > 0.9
    shares = ", ".join(f"{name} {share:.0%}" for name, share in weights.items())
    assert report.table(study, search)[-1] == f"What decides: {shares}."


@pytest.fixture
def page(searching):
    path = report.write_page(*searching)
    assert path.name == "report.html"
    return path.read_text("utf-8")


def test_the_page_says_how_it_went(page):
    assert "<h1>validation:mean_squared_error, to minimize</h1>" in page
    said = "5 trials: 2 completed, 1 stopped, 1 failed, 1 running. Best: trial 3, 2."
    assert f"<p>{said}</p>" in page
    assert page.endswith("</body></html>\n")
    assert not re.search(r"(src|href)=", page)


def test_the_history_shows_each_value_and_the_best_so_far(page):
    """Trials 1, 2 and 3 stand at equal distances, values 2 to 6 from the bottom to the top."""
    middle = (TOP + BOTTOM) / 2
    circles = re.findall(r'<circle class="(\w+)" cx="([\d.]+)" cy="([\d.]+)"', page)
    assert [(state, float(x), float(y)) for state, x, y in circles] == [
        ("completed", LEFT, middle),
        ("stopped", MIDDLE, TOP),
        ("completed", RIGHT, BOTTOM),
    ]
    (best,) = re.findall(r'<path class="best" d="(.*?)"', page)
    assert best == f"M{LEFT} {middle} H{RIGHT} V{BOTTOM} H{RIGHT:.0f}"
    assert '<text x="4" y="272">2</text>' in page
    assert '<text x="4" y="48">6</text>' in page
    assert "<title>trial 2: 6</title>" in page


def test_a_higher_score_is_the_better_one(tmp_path):
    page = report.write_page(*searched(tmp_path, "validation:accuracy")).read_text("utf-8")
    (best,) = re.findall(r'<path class="best" d="(.*?)"', page)
    assert best == f"M{LEFT} {(TOP + BOTTOM) / 2} H{MIDDLE} V{TOP} H{RIGHT:.0f}"
    assert "to maximize" in page
    assert "Best: trial 1, 4." in page  # 2 was stopped and has no model


def test_each_trial_is_a_line_across_all_axes(page):
    lines = re.findall(
        r'<polyline points="(.*?)" style="stroke:(.*?)">\n<title>(.*?)</title>', page
    )
    middle = (TOP + BOTTOM) / 2
    assert [line[0] for line in lines] == [
        f"{LEFT},{middle} {MIDDLE},{TOP} {RIGHT},{TOP}",  # the worst first, beneath the others
        f"{LEFT},{BOTTOM} {MIDDLE},{BOTTOM} {RIGHT},{middle}",
        f"{LEFT},{TOP} {MIDDLE},{middle} {RIGHT},{BOTTOM}",
    ]
    assert [line[1] for line in lines] == [
        "rgba(200,200,205,0.8)",
        "rgba(110,150,215,0.8)",
        "rgba(20,100,225,0.8)",
    ]
    assert lines[0][2] == (
        "trial 2: learning_rate 0.01, optimizer adagrad, validation:mean_squared_error 6"
    )


def test_each_axis_has_its_name_and_its_marks(page):
    axes = re.findall(r'<line class="axis" x1="([\d.]+)" x2="([\d.]+)" y1="272" y2="48"/>', page)
    assert [(float(a), float(b)) for a, b in axes] == [(x, x) for x in (LEFT, MIDDLE, RIGHT)]
    names = re.findall(r'translate\(([\d.]+),328\) rotate\(-12\)">\n?(.*?)</text>', page)
    assert [(float(x), name) for x, name in names] == [
        (LEFT, "learning_rate"),
        (MIDDLE, "optimizer"),
        (RIGHT, "validation:mean_squared_error"),
    ]
    marks = re.findall(r'<text x="([\d.]+)" y="(\d+)" class="mark">(.*?)</text>', page)
    assert [(float(x), int(y), text) for x, y, text in marks] == [
        (LEFT, 286, "0.001"),
        (LEFT, 42, "0.1"),
        (MIDDLE, 286, "adam"),
        (MIDDLE, 154, "sgd"),
        (MIDDLE, 42, "adagrad"),
        (RIGHT, 286, "2"),
        (RIGHT, 42, "6"),
    ]


def test_what_is_drawn_lies_within_its_picture(page):
    size = r'<svg viewBox="0 0 (\d+) (\d+)" width="(\d+)" height="(\d+)">'
    pictures = re.findall(f"{size}(.*?)</svg>", page, re.DOTALL)
    assert len(pictures) == 2
    for *size, shown_width, shown_height, content in pictures:
        assert size == [shown_width, shown_height]
        width, height = map(int, size)
        points = re.findall(r'(?:translate\(| x1?="|cx="|points=")([\d.]+)"?', content)
        heights = re.findall(r'(?: y1?="|cy="|translate\([\d.]+,)([\d.]+)', content)
        assert all(0 <= float(x) <= width for x in points)
        assert all(0 <= float(y) < height - 10 for y in heights)


def test_the_rows_of_the_page(page):
    table = page.partition("<h2>Trials</h2>")[2]
    rows = [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", table)]
    assert rows == [
        [
            "trial",
            "validation:mean_squared_error",
            "epochs",
            "seconds",
            "state",
            "learning_rate",
            "optimizer",
        ],
        ["3", "2", "1", "2.0", "completed", "0.1", "sgd"],
        ["1", "4", "2", "1.2", "completed", "0.001", "adam"],
        ["2", "6", "1", "0.5", "stopped", "0.01", "adagrad"],
        ["4", "", "0", "0.0", "failed", "0.1", "sgd"],
        ["5", "", "1", "0.0", "running", "0.1", "adam"],
    ]
    assert page.count('title="a &lt; b"') == 1


def test_the_importance_is_shown_as_bars():
    assert list(report._importance({"dropout": 0.75, "a<b": 0.25})) == [
        "<table>",
        '<tr><td>dropout</td><td><span class="bar" style="width:240px"></span> 75%</td></tr>',
        '<tr><td>a&lt;b</td><td><span class="bar" style="width:80px"></span> 25%</td></tr>',
        "</table>",
    ]


def test_a_study_without_values_has_a_page_too(tmp_path):
    study, search = searched(tmp_path, trials=TRIALS[3:])
    page = report.write_page(study, search).read_text("utf-8")
    assert "No trial has a value yet." in page
    assert "<svg" not in page
    assert "Best" not in page
    assert "<p>Too few trials to tell.</p>" in page


def test_of_two_trials_the_second_stands_at_the_end(tmp_path):
    page = report.write_page(*searched(tmp_path, trials=TRIALS[:2])).read_text("utf-8")
    assert re.findall(r'cx="([\d.]+)"', page) == [f"{LEFT}", f"{RIGHT}"]
    assert re.findall(r'style="stroke:(.*?)"', page) == [
        "rgba(200,200,205,0.8)",
        "rgba(20,100,225,0.8)",
    ]


def test_one_trial_alone_stands_at_the_beginning(tmp_path):
    page = report.write_page(*searched(tmp_path, trials=TRIALS[:1])).read_text("utf-8")
    assert '<circle class="completed" cx="48.0" cy="272.0" r="4">' in page
    assert page.count("<polyline") == 1


@pytest.mark.parametrize(
    ("scale", "value", "share"),
    [
        ({"min": 0.0, "max": 0.99, "scale": "ReverseLogarithmic"}, 0.9, 0.5),
        ({"min": 0.0, "max": 0.8, "scale": "Linear"}, 0.2, 0.25),
        ({"min": 0.01, "max": 1.0, "scale": "Logarithmic"}, 0.1, 0.5),
        ({"min": 0.2, "max": 0.8, "scale": "Linear"}, 0.9, 1.0),
        ({"min": 0.2, "max": 0.2, "scale": "Linear"}, 0.2, 0.0),
        (["0.1", "0.2", "0.3"], "0.2", 0.5),
        (["0.1"], "0.1", 0.0),
        (["0.1", "0.2"], "other", 0.0),
    ],
)
def test_a_value_stands_on_its_scale(scale, value, share):
    axis = Space.parse({"dropout": scale}).ranges["dropout"]
    assert report._share(axis, value) == pytest.approx(share)
