"""CloudWatch Logs over files, and the metrics that lines hold."""

import pytest

from object2vec.sagemaker.local import logs
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.metrics import JobMetrics
from object2vec.sagemaker.local.protocol import ServiceError

TRAINING = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Logs whose streams a/1 and b/1 have lines of the milliseconds 10, 20, ... in turn."""

    class Clock:
        now = 0

        def time_ns(self):
            self.now += 10
            return self.now * 1_000_000 + 999_999

    monkeypatch.setattr(logs, "time", Clock())
    log = Logs(tmp_path / "logs")
    for number in range(3):
        log.stream(TRAINING, "a/1").append(f"a{number}")
        log.stream(TRAINING, "b/1").append(f"b{number} <x>")
    return log


def ask(log, operation, **request):
    if operation != "DescribeLogGroups":
        request = {"logGroupName": TRAINING} | request
    return log.operations()[operation](request)


def messages(said):
    return [event["message"] for event in said["events"]]


def events(log, **request):
    return ask(log, "GetLogEvents", logStreamName="a/1", **request)


def test_events_are_what_was_printed_and_when(log):
    said = events(log, startFromHead=True)
    assert said["events"] == [
        {"timestamp": at, "ingestionTime": at, "message": f"a{number}"}
        for number, at in enumerate((10, 30, 50))
    ]
    log.stream(TRAINING, "a/1").append("one\ntwo\rthree")
    assert messages(events(log))[-1] == "one\\ntwothree"


def test_a_reader_goes_on_where_it_was(log):
    said = events(log, startFromHead=True, limit=2)
    assert messages(said) == ["a0", "a1"]
    assert said["nextBackwardToken"] == "b/0"
    more = events(log, nextToken=said["nextForwardToken"])
    assert messages(more) == ["a2"]
    token = more["nextForwardToken"]
    assert events(log, nextToken=token)["nextForwardToken"] == token
    assert messages(events(log, nextToken=token)) == []
    log.stream(TRAINING, "a/1").append("a3")
    assert messages(events(log, nextToken=token)) == ["a3"]
    assert messages(events(log, nextToken="f/999999")) == []
    for wrong in ("x", "f/", "g/1", "f/1x"):
        with pytest.raises(ServiceError, match="no token"):
            events(log, nextToken=wrong)


def test_without_a_token_a_reader_begins_near_the_end(log):
    assert messages(events(log, limit=2)) == ["a1", "a2"]
    assert messages(events(log, limit=3)) == ["a0", "a1", "a2"]
    assert messages(events(log, limit=99)) == ["a0", "a1", "a2"]


def test_times_bound_what_is_returned(log):
    assert messages(events(log, startTime=30)) == ["a1", "a2"]
    assert messages(events(log, endTime=30)) == ["a0"]
    assert messages(events(log, startTime=30, endTime=31)) == ["a1"]


def test_a_line_that_is_still_written_is_not_read(log):
    path = log.stream(TRAINING, "a/1").path
    with path.open("ab") as file:
        file.write(b"70\thal")
    said = events(log, startFromHead=True)
    assert messages(said) == ["a0", "a1", "a2"]
    with path.open("ab") as file:
        file.write(b"f \xff\nno time\tx\n")
    assert messages(events(log, nextToken=said["nextForwardToken"])) == ["half �"]


def test_a_response_ends_before_it_is_too_long(log, monkeypatch):
    monkeypatch.setattr(logs, "_MOST_BYTES", 8)
    said = events(log, startFromHead=True)
    assert messages(said) == ["a0", "a1"]  # 6 bytes each: the second one goes beyond
    assert messages(events(log, nextToken=said["nextForwardToken"])) == ["a2"]
    filtered = ask(log, "FilterLogEvents", logStreamNames=["a/1"])
    assert messages(filtered) == ["a0", "a1", "a2"]  # read piece by piece
    assert len({event["eventId"] for event in filtered["events"]}) == 3


def test_events_of_several_streams_come_in_order(log):
    said = ask(log, "FilterLogEvents")
    assert messages(said) == ["a0", "b0 <x>", "a1", "b1 <x>", "a2", "b2 <x>"]
    assert [each["logStreamName"] for each in said["events"][:2]] == ["a/1", "b/1"]
    assert said["searchedLogStreams"] == []
    assert "nextToken" not in said
    assert messages(ask(log, "FilterLogEvents", filterPattern='"<x>"', startTime=40)) == [
        "b1 <x>",
        "b2 <x>",
    ]
    assert messages(ask(log, "FilterLogEvents", logStreamNames=["a/1"], endTime=50)) == ["a0", "a1"]
    assert messages(ask(log, "FilterLogEvents", logStreamNamePrefix="b", filterPattern="1")) == [
        "b1 <x>"
    ]
    page = ask(log, "FilterLogEvents", limit=4)
    assert (len(page["events"]), page["nextToken"]) == (4, "4")
    page = ask(log, "FilterLogEvents", limit=4, nextToken="4")
    assert messages(page) == ["a2", "b2 <x>"]
    assert "nextToken" not in page


def test_groups_and_streams_are_described(log):
    log.stream("/aws/sagemaker/Endpoints/e", "AllTraffic/i").append("x")
    groups = ask(log, "DescribeLogGroups")["logGroups"]
    assert [each["logGroupName"] for each in groups] == ["/aws/sagemaker/Endpoints/e", TRAINING]
    groups = ask(log, "DescribeLogGroups", logGroupNamePrefix="/aws/sagemaker/T")["logGroups"]
    assert [each["logGroupName"] for each in groups] == [TRAINING]
    first, second = ask(log, "DescribeLogStreams")["logStreams"]
    assert (first["logStreamName"], second["logStreamName"]) == ("a/1", "b/1")
    path = log.stream(TRAINING, "a/1").path
    assert first["creationTime"] == first["firstEventTimestamp"] == 10
    assert first["lastEventTimestamp"] == path.stat().st_mtime_ns // 1_000_000
    assert first["storedBytes"] == path.stat().st_size
    for request, expected in (
        ({"descending": True}, ["b/1", "a/1"]),
        ({"limit": 1}, ["a/1"]),
        ({"logStreamNamePrefix": "b/"}, ["b/1"]),
    ):
        said = ask(log, "DescribeLogStreams", **request)["logStreams"]
        assert [each["logStreamName"] for each in said] == expected


def test_streams_are_listed_by_their_last_event(log):
    import os

    os.utime(log.stream(TRAINING, "a/1").path, (2e9, 2e9))
    said = ask(log, "DescribeLogStreams", orderBy="LastEventTime")["logStreams"]
    assert [each["logStreamName"] for each in said] == ["b/1", "a/1"]


def test_what_is_not_there_is_an_error(log):
    with pytest.raises(ServiceError, match="log group does not exist"):
        ask(log, "DescribeLogStreams", logGroupName="/aws/other")
    with pytest.raises(ServiceError, match="log stream does not exist"):
        ask(log, "GetLogEvents", logStreamName="c/1")
    for name in ("../x", "a b", "", "x" * 513):
        with pytest.raises(ServiceError, match="is no name"):
            ask(log, "GetLogEvents", logStreamName=name)
    assert ask(Logs(log._folder / "none"), "DescribeLogGroups") == {"logGroups": []}


DEFINITIONS = [
    {"Name": "train:loss", "Regex": r"loss=(\S+)"},
    {"Name": "other", "Regex": "other"},
    {"Name": "score", "Regex": r"<score>=(\S+)"},
]


def test_metrics_are_found_in_every_line():
    found = []
    metrics = JobMetrics(DEFINITIONS, lambda *metric: found.append(metric))
    metrics.read("#quality_metric: loss=0.5", 3.0)
    metrics.read("[INFO] of the user's own: loss=0.25", 4.0)
    metrics.read("validation <score>=0.75", 5.0)
    metrics.read("INFO training", 6.0)
    metrics.read("#loss=x", 6.0)
    metrics.read("#other", 6.0)  # the pattern has no group
    assert found == [("train:loss", 0.5, 3.0), ("train:loss", 0.25, 4.0), ("score", 0.75, 5.0)]
    assert metrics.final() == [
        {"MetricName": "train:loss", "Value": 0.25, "Timestamp": 4.0},
        {"MetricName": "score", "Value": 0.75, "Timestamp": 5.0},
    ]


def test_a_metric_without_a_time_is_of_now(monkeypatch):
    from object2vec.sagemaker.local import metrics as module

    monkeypatch.setattr(module.time, "time", lambda: 77.0)
    found = []
    JobMetrics(DEFINITIONS, lambda *metric: found.append(metric)).read("#loss=1")
    assert found == [("train:loss", 1.0, 77.0)]


@pytest.fixture
def long(log):
    """Returns what makes the stream a/1 one of so many lines with this message."""

    def made(count, message):
        log.stream(TRAINING, "a/1").path.write_text(f"5\t{message}\n" * count)

    return made


def test_a_response_has_as_many_events_and_bytes_as_on_aws(log, long):
    long(10_001, "x")
    said = events(log, startFromHead=True)
    assert len(said["events"]) == 10_000
    assert len(events(log, nextToken=said["nextForwardToken"])["events"]) == 1
    assert len(events(log)["events"]) == 10_000  # the last ones
    filtered = ask(log, "FilterLogEvents", logStreamNames=["a/1"])
    assert (len(filtered["events"]), filtered["nextToken"]) == (10_000, "10000")
    long(1100, "x" * 1021)  # lines of a KiB
    assert len(events(log, startFromHead=True)["events"]) == 1025  # the last one begins in the MiB


def test_fifty_streams_are_described_unless_others_are_asked_for(log):
    for number in range(50):
        log.stream(TRAINING, f"c/{number:02d}").append("x")
    assert len(ask(log, "DescribeLogStreams")["logStreams"]) == 50
    assert len(ask(log, "DescribeLogStreams", limit=52)["logStreams"]) == 52


def test_a_stream_without_a_line_was_never_made(log):
    path = log.stream(TRAINING, "a/1").path
    path.write_text("")
    first = ask(log, "DescribeLogStreams")["logStreams"][0]
    assert (first["creationTime"], first["firstEventTimestamp"], first["storedBytes"]) == (0, 0, 0)
    said = events(log)
    assert said == {"events": [], "nextForwardToken": "f/0", "nextBackwardToken": "b/0"}


def test_a_group_may_be_named_by_its_arn(log):
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{TRAINING}"
    said = log.operations()["GetLogEvents"]({"logGroupIdentifier": arn, "logStreamName": "a/1"})
    assert messages(said) == ["a0", "a1", "a2"]
