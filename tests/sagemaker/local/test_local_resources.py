"""What has a name and a state: pages, tags and searches, without a server in between."""

import json
import os

import pytest

from object2vec.sagemaker.local import resources
from object2vec.sagemaker.local.catalogue import Catalogue
from object2vec.sagemaker.local.protocol import JsonService, ServiceError
from object2vec.sagemaker.local.resources import Resources

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture
def clock(monkeypatch):
    """Time goes on by a second with each look at it, and nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)

    class Clock:
        now = 1000.0

        def time(self):
            self.now += 1
            return self.now

    clock = Clock()
    monkeypatch.setattr(resources, "time", clock)
    return clock


@pytest.fixture
def jobs(tmp_path, clock):
    """Training jobs c, a and B, made in this order."""
    jobs = Resources(tmp_path / "jobs", "TrainingJob", ARN)
    for name, status in (("c", "Failed"), ("a", "Completed"), ("B", "Completed")):
        jobs.create({"TrainingJobName": name, "TrainingJobStatus": status})
    return jobs


def names(jobs, **request):
    found = jobs.page(request)["TrainingJobSummaries"]
    return [each["TrainingJobName"] for each in found]


def rejected(code, function, *arguments, **members):
    with pytest.raises(ServiceError) as caught:
        function(*arguments, **members)
    assert caught.value.code == code
    return str(caught.value)


def test_pages_are_sorted_as_asked(jobs):
    assert names(jobs) == ["B", "a", "c"]  # the newest first
    assert names(jobs, SortOrder="Ascending") == ["c", "a", "B"]
    assert names(jobs, SortBy="Name") == ["B", "a", "c"]
    assert names(jobs, SortBy="Name", SortOrder="Descending") == ["c", "a", "B"]
    assert names(jobs, SortBy="Status") == ["a", "B", "c"]


def test_pages_hold_what_is_asked_for(jobs):
    assert names(jobs, NameContains="b") == ["B"]
    assert names(jobs, StatusEquals="Completed") == ["B", "a"]
    created = [each["CreationTime"] for each in jobs.all()]
    assert created == sorted(created)
    assert names(jobs, CreationTimeAfter=created[0]) == ["B", "a"]
    assert names(jobs, CreationTimeBefore=created[2]) == ["a", "c"]
    assert names(jobs, CreationTimeBefore=created[0]) == []


def test_a_page_says_where_the_next_one_begins(jobs):
    def page(**request):
        found = jobs.page(request)
        return names(jobs, **request), found.get("NextToken")

    assert page(MaxResults=2) == (["B", "a"], "2")
    assert page(MaxResults=2, NextToken="2") == (["c"], None)
    assert page(MaxResults=3) == (["B", "a", "c"], None)
    assert "NextToken" in rejected("ValidationException", page, NextToken="x")


def test_a_page_has_a_hundred_by_default(tmp_path, clock):
    models = Resources(tmp_path / "models", "Model", ARN)
    for number in range(101):
        models.create({"ModelName": f"m{number}"})
    page = models.page({})
    assert (len(page["Models"]), page["NextToken"]) == (100, "100")


def test_a_search_finds_a_hundred_by_default(tmp_path, clock):
    jobs = Resources(tmp_path / "many", "TrainingJob", ARN)
    for number in range(101):
        jobs.create({"TrainingJobName": f"j{number}"})
    search = Catalogue({"TrainingJob": jobs}).operations()["Search"]
    assert len(search({"Resource": "TrainingJob"})["Results"]) == 100
    assert len(search({"Resource": "TrainingJob", "MaxResults": 101})["Results"]) == 101


def test_names_are_those_of_aws_and_taken_once(jobs, tmp_path):
    for name in ("", "-a", "a-", "a/b", "..", "x" * 64, "a_b"):
        text = rejected("ValidationException", jobs.create, {"TrainingJobName": name})
        assert "1 to 63 letters" in text
    jobs.create({"TrainingJobName": "x" * 63})
    jobs.create({"TrainingJobName": "a--b"})
    assert "existing" in rejected("ResourceInUse", jobs.create, {"TrainingJobName": "a"})
    assert "Could not find" in rejected("ResourceNotFound", jobs.get, "d")
    models = Resources(tmp_path / "models", "Model", ARN)
    models.create({"ModelName": "m"})
    rejected("ValidationException", models.create, {"ModelName": "m"})
    rejected("ValidationException", models.get, "n")


def test_changes_are_dated_and_what_is_deleted_is_gone(jobs):
    before = jobs.get("a")
    assert before["TrainingJobArn"] == f"{ARN}:training-job/a"
    assert jobs.get("B")["TrainingJobArn"] == f"{ARN}:training-job/b"
    after = jobs.change("a", TrainingJobStatus="Stopped")
    assert after["TrainingJobStatus"] == "Stopped"
    assert after["CreationTime"] == before["CreationTime"] == before["LastModifiedTime"]
    assert after["LastModifiedTime"] > before["LastModifiedTime"]
    assert jobs.get("a") == after
    (jobs.folder("a") / "log").write_text("x")
    jobs.delete("a")
    assert not jobs.folder("a").exists()
    assert names(jobs) == ["B", "c"]
    rejected("ResourceNotFound", jobs.delete, "a")


def test_what_a_killed_service_has_made_in_part_is_nothing(jobs, tmp_path):
    (jobs.folder("a") / "resource.json").unlink()
    jobs.folder("half").mkdir()
    (jobs.folder("half") / "log").write_text("x")
    again = Resources(tmp_path / "jobs", "TrainingJob", ARN)
    assert names(again) == ["B", "c"]
    assert sorted(path.name for path in again.folder("c").parent.iterdir()) == ["B", "c"]


def test_what_is_deleted_is_gone_also_if_its_files_cannot_be_removed(jobs, monkeypatch):
    """Its process may still write there."""

    def rmtree(path, ignore_errors=False):
        if not ignore_errors:
            raise OSError("not empty")

    monkeypatch.setattr(resources.shutil, "rmtree", rmtree)
    jobs.delete("a")
    assert names(jobs) == ["B", "c"]
    jobs.create({"TrainingJobName": "a"})
    assert names(jobs) == ["a", "B", "c"]


def test_a_job_says_how_it_ended_and_why_it_failed(jobs):
    jobs.create({"TrainingJobName": "d", "TrainingJobStatus": "InProgress"})
    jobs.stop("d", lambda document: document.update(Asked=1))
    assert (jobs.get("d")["TrainingJobStatus"], jobs.get("d")["Asked"]) == ("Stopping", 1)
    jobs.end("d", "Stopped", "no reason", lambda document: document.update(Ended=1))
    ended = jobs.get("d")
    assert (ended["TrainingJobStatus"], ended["Ended"]) == ("Stopped", 1)
    assert ended["TrainingEndTime"] > ended["CreationTime"]
    assert "FailureReason" not in ended
    jobs.end("d", "Failed", "x" * 1025)
    assert jobs.get("d")["FailureReason"] == "x" * 1024  # as long as AWS has it
    for wrong in ("d", "a"):
        text = rejected("ValidationException", jobs.stop, wrong)
        assert f"because the training job {wrong} has ended" in text


def test_jobs_that_have_ended_leave_their_room(tmp_path, clock):
    jobs = Resources(tmp_path / "few", "TrainingJob", ARN, most=2)
    for name in ("a", "b"):
        jobs.create({"TrainingJobName": name, "TrainingJobStatus": "InProgress"})
    third = {"TrainingJobName": "c", "TrainingJobStatus": "InProgress"}
    text = rejected("ResourceLimitExceeded", jobs.create, third)
    assert "is 2 TrainingJobs, with current utilization of 2 TrainingJobs" in text
    jobs.end("a", "Completed")
    jobs.create(third)
    assert "current utilization of 2" in rejected(
        "ResourceLimitExceeded", jobs.create, {"TrainingJobName": "d"}
    )


def test_nothing_is_there_before_what_it_needs(jobs):
    def broken():
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        jobs.create({"TrainingJobName": "d"}, broken)
    assert not jobs.exists("d")


@pytest.fixture
def catalogue(jobs, tmp_path):
    """Returns what performs an operation on jobs and models."""
    models = Resources(tmp_path / "models", "Model", ARN)
    models.create({"ModelName": "M"})
    operations = Catalogue({"TrainingJob": jobs, "Model": models}).operations()
    return lambda name, **request: operations[name](request)


def test_tags_are_added_replaced_and_deleted(catalogue):
    arn = f"{ARN}:model/m"
    one, two = {"Key": "k", "Value": "1"}, {"Key": "l", "Value": "2"}
    assert catalogue("ListTags", ResourceArn=arn) == {"Tags": []}
    assert catalogue("AddTags", ResourceArn=arn, Tags=[one, two]) == {"Tags": [one, two]}
    other = {"Key": "k", "Value": "3"}
    catalogue("AddTags", ResourceArn=arn, Tags=[other])
    assert catalogue("ListTags", ResourceArn=f"{ARN}:model/M") == {"Tags": [two, other]}
    assert catalogue("DeleteTags", ResourceArn=arn, TagKeys=["l"]) == {}
    assert catalogue("ListTags", ResourceArn=arn) == {"Tags": [other]}
    assert catalogue("ListTags", ResourceArn=f"{ARN}:training-job/a") == {"Tags": []}
    rejected("ValidationException", catalogue, "ListTags", ResourceArn=f"{ARN}:model/none")


def found(catalogue, *filters, **more):
    expression = {"Filters": list(filters)}
    said = catalogue("Search", Resource="TrainingJob", SearchExpression=expression, **more)
    return [each["TrainingJob"]["TrainingJobName"] for each in said["Results"]]


def rule(name, operator=None, value=None):
    given = {"Name": name, "Operator": operator, "Value": value}
    return {key: each for key, each in given.items() if each is not None}


@pytest.fixture
def sized(jobs, catalogue):
    """The jobs with numbers, and a tag at one of them."""
    for name, count in (("a", 9), ("B", 10), ("c", 100)):
        jobs.change(name, ResourceConfig={"InstanceCount": count})
    jobs.change("c", Tags=[{"Key": "who", "Value": "me"}])
    return catalogue


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("Equals", "10", "B"),
        (None, "10", "B"),
        ("NotEquals", "10", "ac"),
        ("GreaterThan", "10", "c"),
        ("GreaterThanOrEqualTo", "10", "Bc"),
        ("LessThan", "10", "a"),
        ("LessThanOrEqualTo", "10", "aB"),
        ("Contains", "0", "Bc"),
        ("In", "9,100", "ac"),
        ("Exists", None, "aBc"),
        ("NotExists", None, ""),
    ],
)
def test_a_search_compares_numbers_as_numbers(sized, operator, value, expected):
    jobs = found(sized, rule("ResourceConfig.InstanceCount", operator, value))
    assert sorted(jobs, key=str.lower) == list(expected)


def test_a_search_looks_for_texts_and_tags_too(sized):
    assert found(sized, rule("TrainingJobName", "GreaterThan", "a")) == ["c"]
    assert found(sized, rule("Tags.who", "Equals", "me")) == ["c"]
    assert found(sized, rule("Tags.who", "NotExists")) == ["B", "a"]
    assert found(sized, rule("ResourceConfig.InstanceCount.More", "Exists")) == []
    both = rule("TrainingJobStatus", "Equals", "Completed"), rule("TrainingJobName", "Equals", "a")
    assert found(sized, *both) == ["a"]
    assert found(sized) == ["B", "a", "c"]
    assert found(sized, MaxResults=1) == ["B"]
    text = rejected("ValidationException", found, sized, rule("TrainingJobName", "Like", "a"))
    assert "Like" in text
    rejected("ValidationException", sized, "Search", Resource="Model")


def test_what_a_service_says_is_json_with_a_status(jobs):
    service = JsonService(
        "sagemaker",
        {
            "ListTrainingJobs": jobs.page,
            "StopTrainingJob": lambda request: None,
        },
    )

    def ask(operation, body):
        response = service(operation, body)
        said = json.loads(response.body)
        if response.status != 200:
            assert said["__type"] == response.headers["x-amzn-ErrorType"]
            assert said["message"] == said["Message"]
            return response.status, said["__type"], said["message"]
        return said

    assert len(ask("ListTrainingJobs", b"")["TrainingJobSummaries"]) == 3
    assert ask("StopTrainingJob", b'{"TrainingJobName": "a"}') == {}
    assert ask("StopTrainingJob", b'{"TrainingJobName": "a", "Newer": 1}') == {}
    assert ask("Fly", b"{}")[:2] == (404, "UnknownOperationException")
    assert ask("ListTrainingJobs", b"{")[:2] == (400, "SerializationException")
    assert ask("ListTrainingJobs", b"[" * 100_000)[:2] == (400, "SerializationException")
    assert ask("ListTrainingJobs", b"[]")[:2] == (400, "SerializationException")
    status, kind, text = ask("StopTrainingJob", b'{"Newer": 1}')
    assert (status, kind) == (400, "ValidationException")
    assert text == 'Missing required parameter in input: "TrainingJobName"'
    assert ask("ListTrainingJobs", b'{"MaxResults": "many"}')[1] == "ValidationException"
