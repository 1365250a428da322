"""Parts of the local service by themselves: records of a transform, storage, tuning's requests."""

import contextlib
import pathlib
import shutil
import ssl
import sys
import tempfile
import types

import pytest

from object2vec.errors import ArtifactError
from object2vec.sagemaker.local import storage as local_storage
from object2vec.sagemaker.local import training, transforms, tuning_jobs, tuning_requests
from object2vec.sagemaker.local.buckets import Folders
from object2vec.sagemaker.local.certificates import Authority
from object2vec.sagemaker.local.checkpoints import Checkpoints
from object2vec.sagemaker.local.images import algorithm_of_image
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.selections import WrongSelection, selection
from object2vec.sagemaker.local.storage import MissingData, Storage, split_uri
from object2vec.sagemaker.local.training import Training
from object2vec.sagemaker.paths import JobTree
from object2vec.tuning.trials import Trial

LINES, CSV, JSON = "application/jsonlines", "text/csv", "application/json"


@pytest.mark.parametrize(
    ("media", "text", "records"),
    [
        (LINES, '{"a": 1}\n\n[2]\n', [{"a": 1}, [2]]),
        (CSV, '1,"a, b"\n2,c\n', [["1", "a, b"], ["2", "c"]]),
        (JSON, '[{"a": 1},\n {"a": 2}]', [[{"a": 1}, {"a": 2}]]),
    ],
)
def test_records_are_read_and_written_in_their_form(tmp_path, media, text, records):
    file = tmp_path / "given"
    file.write_text(text)
    assert list(transforms._records(file, media)) == records
    transforms._write_records(tmp_path / "again", iter(records), media)
    assert list(transforms._records(tmp_path / "again", media)) == records
    ends = (tmp_path / "again").read_bytes().endswith(b"\n")
    assert ends == (media != JSON)


def test_a_csv_has_a_row_for_each_record(tmp_path):
    transforms._write_records(tmp_path / "x", iter([["a", 1], 2.5]), CSV)
    assert (tmp_path / "x").read_bytes() == b"a,1\n2.5\n"
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa,b\n")
    assert list(transforms._records(tmp_path / "bom", CSV)) == [["a", "b"]]


@pytest.mark.parametrize(
    ("media", "given", "predicted", "joined"),
    [
        (
            LINES,
            '{"id": 1}\n[7]\n',
            '{"s": 1}\n{"s": 2}\n',
            [
                {"id": 1, "SageMakerOutput": {"s": 1}},
                {"SageMakerInput": [7], "SageMakerOutput": {"s": 2}},
            ],
        ),
        (CSV, "1,2\n3,4\n", "0.5\n0.25,9\n", [["1", "2", "0.5"], ["3", "4", "0.25", "9"]]),
    ],
)
def test_predictions_follow_their_records(tmp_path, media, given, predicted, joined):
    (tmp_path / "given").write_text(given)
    (tmp_path / "predicted").write_text(predicted)
    files = tmp_path / "given", media, tmp_path / "predicted", media
    assert list(transforms._joined(*files, selection("$"))) == joined
    alone = list(transforms._joined(None, *files[1:], selection("$")))
    assert alone == list(transforms._records(tmp_path / "predicted", media))
    (tmp_path / "predicted").write_text(predicted + predicted)
    with pytest.raises(ValueError, match="longer"):
        list(transforms._joined(*files, selection("$")))


def test_a_number_beside_a_record_of_csv_is_one_more_field(tmp_path):
    (tmp_path / "given").write_text("1\n")
    (tmp_path / "predicted").write_text("[0.5, 2]\n")
    files = tmp_path / "given", CSV, tmp_path / "predicted", LINES
    assert list(transforms._joined(*files, selection("$"))) == [["1", 0.5, 2]]
    (tmp_path / "predicted").write_text("0.5\n")
    assert list(transforms._joined(*files, selection("$"))) == [["1", 0.5]]


def test_a_transform_s_options_are_those_of_the_request(tmp_path):
    document = {
        "TransformInput": {"ContentType": CSV, "SplitType": "Line"},
        "TransformOutput": {"Accept": LINES},
        "BatchStrategy": "MultiRecord",
        "MaxPayloadInMB": 0,
    }
    assert transforms._arguments(document, tmp_path) == [
        str(tmp_path / "model.tar.gz"),
        str(tmp_path / "in"),
        f"--out={tmp_path / 'out'}",
        f"--content-type={CSV}",
        f"--accept={LINES}",
        "--split-type=Line",
        "--strategy=MultiRecord",
        "--max-payload=0",
    ]
    bare = transforms._arguments({"TransformInput": {}, "TransformOutput": {}}, tmp_path)
    assert len(bare) == 3
    assert transforms._media("Text/CSV; charset=utf-8") == CSV
    assert not transforms._is_joined({"DataProcessing": {"JoinSource": "None"}})
    assert not transforms._is_joined({})
    assert transforms._is_joined({"DataProcessing": {"JoinSource": "Input"}})


def test_selections_of_several_parts():
    assert selection("$[ 0 , 2: ]")([1, 2, 3, 4]) == [1, 3, 4]
    assert selection("$[*,0]")([1, 2]) == [1, 2, 1]
    assert selection('$["a b"]')({"a b": 1}) == 1
    assert selection("$['a',\"b\"]")({"a": 1, "b": 2, "c": 3}) == {"a": 1, "b": 2}
    assert selection("$.a[1].b-c")({"a": [0, {"b-c": 2}]}) == 2
    assert selection("$[-2]")([1, 2]) == 1
    assert selection("$[:]")([1, 2]) == [1, 2]
    for path, record in (("$[-3]", [1, 2]), ("$[2]", [1, 2]), ("$[*]", 3), ("$.a", [1])):
        with pytest.raises(WrongSelection, match=r"has no|wanted"):
            selection(path)(record)


class Remote:
    """An S3 of the user's own: what fsspec offers of it, over folders."""

    def __init__(self, folders):
        self.folders = folders

    def exists(self, bucket):
        return bucket in self.folders.names()

    def find(self, path, prefix):
        bucket, _, base = path.partition("/")
        if not self.exists(bucket):
            raise FileNotFoundError(f"the bucket {bucket} does not exist")
        keys = self.folders.keys(bucket, f"{base}/{prefix}".lstrip("/"))
        return [f"{bucket}/{key}" for key in reversed(keys)]

    def get_file(self, path, target):
        shutil.copyfile(self.folders.file(*path.split("/", 1)), target)

    def rm_file(self, path):
        self.folders.file(*path.split("/", 1)).stat()  # FileNotFoundError, as from S3
        self.folders.delete(*path.split("/", 1))

    @contextlib.contextmanager
    def write(self, uri):
        bucket, key = split_uri(uri)
        if not self.exists(bucket):
            raise MissingData(f"the bucket {bucket} does not exist")
        with tempfile.NamedTemporaryFile() as stream:
            yield stream
            stream.flush()
            self.folders.put_file(bucket, key, pathlib.Path(stream.name))


@pytest.fixture(params=["here", "own S3"])
def storage(tmp_path, request, monkeypatch):
    folders = Folders(tmp_path / "s3")
    remote = Remote(folders)
    monkeypatch.setattr(local_storage, "open_url", lambda uri: (remote, uri))
    monkeypatch.setattr(local_storage, "write_object", remote.write)
    for key in ("a/train-0", "a/train-1", "a/train/x", "a/test", "b/", "top"):
        source = tmp_path / "source"
        source.write_text(key)
        (folders.buckets / "bucket").mkdir(exist_ok=True)
        folders.put_file("bucket", key, source)
    if request.param == "here":
        return Storage(folders)
    return Storage(None, is_remote=True)


def put_folder(storage, folder, uri):
    for name in under(folder):
        storage.put(folder / name, f"{uri}/{name}")


def under(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_prefix_need_not_be_a_folder(storage, tmp_path):
    assert storage.get_prefix("s3://bucket/a/train", tmp_path / "x") == 3
    assert under(tmp_path / "x") == {
        "train-0": "a/train-0",
        "train-1": "a/train-1",
        "train/x": "a/train/x",
    }
    assert storage.get_prefix("s3://bucket/a/train/", tmp_path / "y") == 1
    assert under(tmp_path / "y") == {"x": "a/train/x"}
    assert storage.get_prefix("s3://bucket/a/train/x", tmp_path / "k") == 1
    assert under(tmp_path / "k") == {"x": "a/train/x"}
    assert storage.get_prefix("s3://bucket", tmp_path / "z") == 5
    assert "top" in under(tmp_path / "z")
    assert storage.get_prefix("s3://bucket/to", tmp_path / "t") == 1
    for uri in ("s3://bucket/none", "s3://bucket/b"):
        with pytest.raises(MissingData, match="No S3 objects"):
            storage.get_prefix(uri, tmp_path / "w")
    with pytest.raises(MissingData, match="does not exist"):
        storage.get_prefix("s3://nowhere/a", tmp_path / "w")


def test_a_channel_that_is_a_folder_needs_no_slash_at_its_end(storage, tmp_path):
    """The notebook of sentences names its auxiliary channel so."""
    for number, uri in enumerate(["s3://bucket/a", "s3://bucket/a/"]):
        assert storage.get_prefix(uri, tmp_path / str(number), is_channel=True) == 4
        assert {"train-0", "train/x", "test"} < under(tmp_path / str(number)).keys()
    assert storage.get_prefix("s3://bucket/a/train", tmp_path / "x", is_channel=True) == 3
    assert under(tmp_path / "x").keys() == {"train-0", "train-1", "train/x"}
    assert storage.get_prefix("s3://bucket/a", tmp_path / "y") == 4  # of a batch transform
    assert "a/test" in under(tmp_path / "y")


@pytest.fixture
def checkpoints(storage, tmp_path):
    """A job's checkpoints: its folder, what copies them, and what S3 has of them."""
    tree, jobs = JobTree(tmp_path), Resources(tmp_path / "jobs", "TrainingJob", "arn")
    made_by = Training(jobs, None, storage, None, None, "us-east-1")
    config = {"CheckpointConfig": {"S3Uri": "s3://bucket/kept"}, "SecondaryStatus": "Training"}

    def write(*names):
        for name in names:
            for file in ("state.json", "tensors"):
                (tree.checkpoints / name).mkdir(parents=True, exist_ok=True)
                (tree.checkpoints / name / file).write_text(name)

    def there():
        return [
            key.removeprefix("kept/") for key in storage._keys("bucket", "kept/", "s3://bucket")
        ]

    made = types.SimpleNamespace(write=write, there=there, folder=tree.checkpoints)
    made.kept = Checkpoints(storage, "s3://bucket/kept", tree.checkpoints)
    made.save = lambda **more: made_by._save_checkpoints({"TrainingJobName": "t", **config, **more})
    made.tree = JobTree(made_by._tree("t"))
    return made


def test_a_checkpoint_that_is_removed_is_removed_in_s3(checkpoints, storage, tmp_path):
    (tmp_path / "note").write_text("of another program")
    storage.put(tmp_path / "note", "s3://bucket/kept/before")
    checkpoints.write("step-1")
    put_folder(storage, checkpoints.folder, "s3://bucket/kept")
    (checkpoints.folder / "step-1" / "state.json").unlink()
    storage.put(tmp_path / "note", "s3://bucket/kept/step-0/tensors")  # not whole
    checkpoints.kept.fetch()
    assert under(checkpoints.folder).keys() == {"before", "step-1/state.json", "step-1/tensors"}
    storage.put(tmp_path / "note", "s3://bucket/kept/later")
    copy = checkpoints.kept.copy
    copy()
    whole = ["state.json", "tensors"]
    assert checkpoints.there() == ["before", "later", *(f"step-1/{each}" for each in whole)]
    checkpoints.write("step-2", ".step-3")
    copy()
    shutil.rmtree(checkpoints.folder / "step-1")
    copy()
    assert checkpoints.there() == ["before", "later", *(f"step-2/{each}" for each in whole)]


def test_none_is_removed_in_s3_before_what_replaces_it_is_there(checkpoints, storage, monkeypatch):
    checkpoints.write("step-1")
    copy = checkpoints.kept.copy
    copy()
    shutil.rmtree(checkpoints.folder / "step-1")
    checkpoints.write("step-2")
    put = Storage.put

    def putting(self, source, uri):
        """Meanwhile the training has come to its next checkpoint."""
        if (checkpoints.folder / "step-2").exists():
            checkpoints.write("step-3")
            shutil.rmtree(checkpoints.folder / "step-2")
        put(self, source, uri)

    monkeypatch.setattr(Storage, "put", putting)
    copy()
    assert checkpoints.there() == ["step-1/state.json", "step-1/tensors"]
    copy()
    assert checkpoints.there() == ["step-3/state.json", "step-3/tensors"]


@pytest.mark.parametrize(("state", "is_copied"), [("Downloading", False), ("Training", True)])
def test_what_a_killed_service_has_fetched_in_part_is_not_copied_back(
    state, is_copied, checkpoints
):
    tree = checkpoints.tree
    (tree.checkpoints / "step-1").mkdir(parents=True)
    (tree.checkpoints / "step-1" / "tensors").write_text("half")
    checkpoints.save(SecondaryStatus=state)
    assert checkpoints.there() == ["step-1/tensors"] * is_copied


def test_a_key_is_deleted_with_its_folders(storage, tmp_path):
    storage.delete("s3://bucket/a/train/x")
    storage.delete("s3://bucket/a/none")
    assert not (tmp_path / "s3" / "buckets" / "bucket" / "a" / "train").exists()
    assert storage.get_prefix("s3://bucket/a/", tmp_path / "x") == 3


def test_files_come_and_go_one_by_one_too(storage, tmp_path):
    storage.get("s3://bucket/a/test", tmp_path / "deep" / "file")
    assert (tmp_path / "deep" / "file").read_text() == "a/test"
    with pytest.raises(MissingData, match="Could not find model data"):
        storage.get("s3://bucket/a", tmp_path / "n")
    (tmp_path / "tree" / "in").mkdir(parents=True)
    (tmp_path / "tree" / "in" / "f").write_text("1")
    (tmp_path / "tree" / "g").write_text("2")
    put_folder(storage, tmp_path / "tree", "s3://bucket/new")
    assert storage.get_prefix("s3://bucket/new/", tmp_path / "back") == 2
    assert under(tmp_path / "back") == {"in/f": "1", "g": "2"}
    with pytest.raises(MissingData, match="does not exist"):
        storage.put(tmp_path / "tree" / "g", "s3://nowhere/g")
    storage.check_bucket("s3://bucket/anything")
    with pytest.raises(MissingData, match="does not exist"):
        storage.check_bucket("s3://nowhere/x")


def test_what_the_user_s_s3_raises_is_said_with_its_address(storage, monkeypatch, tmp_path):
    own = Storage(None, is_remote=True)

    def broken(uri):
        raise PermissionError("not yours") if "closed" in uri else TimeoutError

    monkeypatch.setattr(local_storage, "open_url", broken)
    for call in (own.check_bucket, lambda uri: own.get_prefix(uri, tmp_path / "x")):
        with pytest.raises(MissingData, match=r"^'s3://closed.*' cannot be read: not yours$"):
            call("s3://closed/k")
        with pytest.raises(MissingData, match=r"^'s3://b.*' cannot be read: TimeoutError$"):
            call("s3://b/k")


def test_what_is_fetched_is_the_same_file_unless_it_is_going_to_be_changed(tmp_path, monkeypatch):
    """A copy of a large channel would cost its size once more."""
    folders = Folders(tmp_path / "s3")
    (tmp_path / "source").write_text("1")
    (folders.buckets / "b").mkdir()
    folders.put_file("b", "k", tmp_path / "source")
    storage, file = Storage(folders), folders.file("b", "k")
    storage.get("s3://b/k", tmp_path / "linked")
    assert (tmp_path / "linked").samefile(file)
    storage.get_prefix("s3://b/k", tmp_path / "changed", is_changed=True)
    assert not (tmp_path / "changed" / "k").samefile(file)

    def no_links(source, target):
        raise OSError("another disk")

    monkeypatch.setattr("os.link", no_links)
    storage.get("s3://b/k", tmp_path / "copied")
    assert (tmp_path / "copied").read_text() == "1"
    assert not (tmp_path / "copied").samefile(file)


def test_what_is_an_s3_uri():
    assert split_uri("s3://b") == ("b", "")
    assert split_uri("s3://b/k/l") == ("b", "k/l")
    for uri in ("s3:///k", "http://b/k", "b/k", ""):
        with pytest.raises(MissingData, match="must be an S3 URI"):
            split_uri(uri)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("object2vec", "object2vec"),
        ("1.dkr.ecr.us-east-1.amazonaws.com/object2vec:1", "object2vec"),
        ("x/y/ipinsights@sha256:0", "ipinsights"),
        ("my-object2vec", None),
        ("object2vec-gpu:1", None),
        ("", None),
    ],
)
def test_the_algorithm_is_the_image_s(image, name):
    if name is None:
        with pytest.raises(ServiceError, match="object2vec or ipinsights"):
            algorithm_of_image(image)
        return
    assert algorithm_of_image(image) == name
    for member in ("TrainingImage", "AlgorithmName"):
        assert (
            algorithm_of_image(training._image({"AlgorithmSpecification": {member: image}})) == name
        )


def test_an_authority_stays_until_it_expires(tmp_path, monkeypatch):
    import datetime

    from object2vec.sagemaker.local import certificates

    first = Authority(tmp_path)
    bundle = first.bundle.read_bytes()
    assert bundle.endswith((tmp_path / "ca.pem").read_bytes())
    assert (tmp_path / "ca-key.pem").stat().st_mode & 0o777 == 0o600
    assert Authority(tmp_path).bundle.read_bytes() == bundle
    context = first.context("api.sagemaker.us-east-1.amazonaws.com")
    assert context is first.context("api.sagemaker.us-east-1.amazonaws.com")
    assert context is not first.context("other")
    assert isinstance(context, ssl.SSLContext)
    assert not (tmp_path / "host.pem").exists()
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.timezone.utc)
    for days, stays in ((823, True), (825, False)):
        monkeypatch.setattr(certificates, "_now", lambda days=days: now + days * day)
        assert (Authority(tmp_path)._certificate == first._certificate) is stays
    (tmp_path / "ca.pem").write_text("damaged")
    assert Authority(tmp_path)._certificate != first._certificate


@pytest.mark.parametrize("seconds", [-1, 1])
def test_an_authority_that_ends_within_a_day_is_made_again(tmp_path, monkeypatch, seconds):
    """A client that has just started shall be able to go on for hours."""
    import datetime

    from object2vec.sagemaker.local import certificates

    first = Authority(tmp_path)
    end = first._certificate.not_valid_after_utc - datetime.timedelta(days=1)
    monkeypatch.setattr(certificates, "_now", lambda: end + datetime.timedelta(seconds=seconds))
    assert (Authority(tmp_path)._certificate == first._certificate) is (seconds < 0)


def test_an_authority_without_its_bundle_is_made_again(tmp_path):
    first = Authority(tmp_path)
    first.bundle.unlink()
    assert Authority(tmp_path)._certificate != first._certificate
    assert first.bundle.exists()


@pytest.mark.parametrize("given", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "other", "gone"])
def test_the_bundle_holds_what_clients_trust_already(tmp_path, monkeypatch, given):
    import certifi

    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "corporate.pem").write_bytes(b"corporate\n")
    file = "none.pem" if given == "gone" else "corporate.pem"
    monkeypatch.setenv("AWS_CA_BUNDLE" if given == "gone" else given, str(tmp_path / file))
    trusted = pathlib.Path(certifi.where()).read_bytes()
    expected = b"corporate\n" if "BUNDLE" in given else trusted
    own = Authority(tmp_path).bundle.read_bytes().removeprefix(expected)
    assert own == (tmp_path / "ca.pem").read_bytes()


@pytest.mark.parametrize("has_file", [True, False])
def test_without_certifi_the_system_s_certificates_are_trusted(tmp_path, monkeypatch, has_file):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "certifi", None)
    (tmp_path / "system.pem").write_bytes(b"system\n")
    paths = types.SimpleNamespace(cafile=str(tmp_path / "system.pem") if has_file else None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    bundle = Authority(tmp_path).bundle.read_bytes()
    assert bundle == b"system\n" * has_file + (tmp_path / "ca.pem").read_bytes()


def shaken_hands(client, server, host):
    """The certificate that a client takes of a server, without a network between them."""
    ways = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(*ways, server_hostname=host),
        server.wrap_bio(*reversed(ways), server_side=True),
    )
    for _ in range(4):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].getpeercert(binary_form=True)


def test_a_certificate_is_what_strict_clients_ask_of_one(tmp_path):
    """RFC 5280 by OpenSSL, which Python 3.13 asks it to keep; that of Apple for its validity."""
    import datetime

    from cryptography import x509

    host, now = (
        "api.sagemaker.us-east-1.amazonaws.com",
        datetime.datetime.now(datetime.timezone.utc),
    )
    authority = Authority(tmp_path)
    client = ssl.create_default_context(cafile=str(authority.bundle))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    data = shaken_hands(client, authority.context(host), host)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shaken_hands(client, authority.context("other"), host)
    own = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())
    of_host = x509.load_der_x509_certificate(data)
    of_host.verify_directly_issued_by(own)
    for certificate, signs in ((own, True), (of_host, False)):
        assert certificate.not_valid_before_utc < now - datetime.timedelta(minutes=50)
        assert certificate.not_valid_after_utc > now + datetime.timedelta(days=800)
        valid = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert valid <= datetime.timedelta(days=825)
        limits = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (limits.critical, limits.value.ca) == (True, signs)
        assert limits.value.path_length == (0 if signs else None)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        may = {
            *("digital_signature", "content_commitment", "key_encipherment"),
            *("data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
        }
        expected = {"digital_signature", *(("key_cert_sign", "crl_sign") if signs else ())}
        assert usage.critical
        assert {name for name in may if getattr(usage.value, name)} == expected
    own_ids = own.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    of_issuer = of_host.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert of_issuer.key_identifier == own_ids.digest


def document(**definition):
    return {
        "HyperParameterTuningJobName": "t" * 60,
        "HyperParameterTuningJobArn": "arn:tuning",
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "RandomSeed": 7,
            "HyperParameterTuningJobObjective": {
                "Type": "Maximize",
                "MetricName": "validation:accuracy",
            },
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "enc_dim", "MinValue": "4", "MaxValue": "9"}]
            },
        },
        "TrainingJobDefinition": {
            "StaticHyperParameters": {"epochs": "12"},
            "AlgorithmSpecification": {"TrainingImage": "1.x/object2vec:1"},
            "RoleArn": "r",
            "DefinitionName": "d",
            **definition,
        },
    }


TRIAL = Trial(3, {"enc_dim": 5, "learning_rate": 0.1}, "completed", (0.5,), 0.5)


def test_a_trial_s_training_job_is_that_of_the_definition():
    request = tuning_requests.training_request(document(), TRIAL)
    assert request.pop("HyperParameters") == {
        "epochs": "12",
        "enc_dim": "5",
        "learning_rate": "0.1",
        "_tuning_objective_metric": "validation:accuracy",
    }
    name = request.pop("TrainingJobName")
    assert name.startswith("t" * 49 + "-003-")
    assert len(name) <= 63
    assert request == {
        "AlgorithmSpecification": {"TrainingImage": "1.x/object2vec:1"},
        "RoleArn": "r",
        "TuningJobArn": "arn:tuning",
        "ResourceConfig": {"InstanceCount": 1, "VolumeSizeInGB": 1},
    }
    other = Trial(4, TRIAL.values)
    assert tuning_requests.training_request(document(), other)["TrainingJobName"][-8:] != name[-8:]


def test_a_trial_s_machine_and_checkpoints_are_its_own():
    machine = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30}
    tuned = document(
        HyperParameterTuningResourceConfig=machine,
        CheckpointConfig={"S3Uri": "s3://b/c/", "LocalPath": "/opt/ml/checkpoints"},
    )
    request = tuning_requests.training_request(tuned, TRIAL)
    assert request["ResourceConfig"] == machine | {"VolumeSizeInGB": 1}
    assert request["CheckpointConfig"] == {
        "S3Uri": f"s3://b/c/{request['TrainingJobName']}",
        "LocalPath": "/opt/ml/checkpoints",
    }
    given = tuning_requests.training_request(document(ResourceConfig={"InstanceCount": 1}), TRIAL)
    assert given["ResourceConfig"] == {"InstanceCount": 1}


def test_a_tuning_job_searches_as_its_request_says():
    search = tuning_requests.search_of(document())
    assert (search.strategy, search.seed, search.epochs) == ("random", 7, 12)
    assert search.objective.direction == "maximize"
    assert not search.early_stopping
    asked = document()
    config = asked["HyperParameterTuningJobConfig"]
    config |= {
        "Strategy": "Hyperband",
        "TrainingJobEarlyStoppingType": "Auto",
        "StrategyConfig": {"HyperbandStrategyConfig": {"MinResource": 1, "MaxResource": 9}},
    }
    config["HyperParameterTuningJobObjective"]["Type"] = "Minimize"
    del config["RandomSeed"]
    search = tuning_requests.search_of(asked)
    assert (search.strategy, search.seed, search.epochs) == ("hyperband", 0, 9)
    assert (search.early_stopping, search.objective.direction) == (True, "minimize")
    del asked["TrainingJobDefinition"]["StaticHyperParameters"]
    del config["StrategyConfig"]
    assert tuning_requests.search_of(asked).epochs == 30
    del config["HyperParameterTuningJobObjective"]
    with pytest.raises(ServiceError, match="must have a HyperParameterTuningJobObjective"):
        tuning_requests.search_of(asked)


def test_what_a_study_remembers_of_a_request():
    def channel(name, uri):
        return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3Uri": uri}}}

    asked = document(
        InputDataConfig=[channel("validation", "s3://b/v"), channel("train", "s3://t")]
    )
    search = tuning_requests.search_of(asked)
    said = tuning_requests.settings_of(asked, search)
    assert said == {
        "objective": "validation:accuracy",
        "space": search.space.state(),
        "fixed": {"epochs": "12"},
        "strategy": "random",
        "seed": 7,
        "data": "[('train', 's3://t'), ('validation', 's3://b/v')] object2vec",
    }


def test_a_tuning_job_counts_its_training_jobs():
    goal = tuning_requests.goal_of(document())
    states = ("Completed", "InProgress", "Stopping", "Failed", "Stopped", "Completed")
    trials = [
        TRIAL,
        *(Trial(n, {}, "running") for n in (4, 5)),
        Trial(6, {}, "failed"),
        Trial(7, {}, "stopped", value=0.25),
        Trial(8, {}, "stopped"),
    ]
    summaries = [
        tuning_requests.trial_summary({"TrainingJobStatus": state, "Other": 1}, trial, goal)
        for state, trial in zip(states, trials, strict=True)
    ]
    assert summaries[0] == {
        "TrainingJobStatus": "Completed",
        "TunedHyperParameters": {"enc_dim": "5", "learning_rate": "0.1"},
        "ObjectiveStatus": "Succeeded",
        "FinalHyperParameterTuningJobObjectiveMetric": {
            "Type": "Maximize",
            "MetricName": "validation:accuracy",
            "Value": 0.5,
        },
    }
    assert summaries[1]["ObjectiveStatus"] == "Pending"
    assert tuning_requests.counts_of(summaries) == {
        "TrainingJobStatusCounters": {
            "Completed": 2,
            "InProgress": 2,
            "RetryableError": 0,
            "NonRetryableError": 1,
            "Stopped": 1,
        },
        "ObjectiveStatusCounters": {"Succeeded": 2, "Pending": 2, "Failed": 2},
    }


@pytest.fixture
def listed(monkeypatch):
    """Returns what lists four training jobs of a tuning job as asked."""
    jobs = [
        {
            "TrainingJobName": name,
            "CreationTime": time,
            "TrainingJobStatus": state,
            "ObjectiveStatus": "Failed" if value is None else "Succeeded",
            **(
                {}
                if value is None
                else {"FinalHyperParameterTuningJobObjectiveMetric": {"Value": value}}
            ),
        }
        for name, time, state, value in (
            ("a", 3, "Completed", 0.5),
            ("b", 1, "Failed", None),
            ("c", 2, "Completed", 0.25),
            ("d", 4, "Stopped", 0.75),
        )
    ]
    service = tuning_jobs.TuningJobs(types.SimpleNamespace(get=lambda name: {}), None)
    monkeypatch.setattr(service, "_summaries", lambda document: list(jobs))

    def ask(**request):
        said = service._list_jobs({"HyperParameterTuningJobName": "t", **request})
        names = "".join(each["TrainingJobName"] for each in said["TrainingJobSummaries"])
        return names, said.get("NextToken")

    return ask


@pytest.mark.parametrize(
    ("request_", "names", "token"),
    [
        ({}, "abcd", None),
        ({"SortOrder": "Descending"}, "dcba", None),
        ({"SortBy": "CreationTime"}, "bcad", None),
        ({"SortBy": "Status"}, "acbd", None),
        ({"SortBy": "FinalObjectiveMetricValue"}, "cad", None),
        ({"SortBy": "FinalObjectiveMetricValue", "SortOrder": "Descending"}, "dac", None),
        ({"StatusEquals": "Completed"}, "ac", None),
        ({"MaxResults": 3}, "abc", "3"),
        ({"MaxResults": 3, "NextToken": "3"}, "d", None),
        ({"MaxResults": 4}, "abcd", None),
        ({"NextToken": "2"}, "cd", None),
    ],
)
def test_training_jobs_of_a_tuning_job_are_listed_as_asked(listed, request_, names, token):
    assert listed(**request_) == (names, token)


def test_ten_training_jobs_of_a_tuning_job_are_listed_at_once(monkeypatch):
    """AWS's default; of other lists it is a hundred."""
    service = tuning_jobs.TuningJobs(types.SimpleNamespace(get=lambda name: {}), None)
    jobs = [{"TrainingJobName": str(number), "TrainingJobStatus": "x"} for number in range(11)]
    monkeypatch.setattr(service, "_summaries", lambda document: jobs)
    said = service._list_jobs({"HyperParameterTuningJobName": "t"})
    assert (len(said["TrainingJobSummaries"]), said["NextToken"]) == (10, "10")


def test_a_token_that_is_none_is_rejected(listed):
    with pytest.raises(ServiceError, match="NextToken must come from an earlier page"):
        listed(NextToken="x")


def test_parents_of_a_tuning_job_have_ended():
    states = {"done": "Completed", "busy": "InProgress"}
    jobs = types.SimpleNamespace(
        get=lambda name: {"HyperParameterTuningJobStatus": states[name]},
        folder=lambda name: pathlib.Path("nowhere") / name,
    )
    service = tuning_jobs.TuningJobs(jobs, None)

    def parents(*names):
        warm = [{"HyperParameterTuningJobName": name} for name in names]
        return service._parents(
            {"WarmStartConfig": {"ParentHyperParameterTuningJobs": warm, "WarmStartType": "x"}}
        )

    with pytest.raises(ServiceError, match="The parent tuning job busy has not ended"):
        parents("busy")
    with pytest.raises(ArtifactError, match="done/study: must hold a study"):
        parents("done")
    assert service._parents({}) == ([], None)
