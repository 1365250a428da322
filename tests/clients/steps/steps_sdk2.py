"""SageMaker Python SDK v2, of any age: the calls of AWS's notebooks, in their order."""

import json
import os
import time

import api
import boto3
import data

import sagemaker
from sagemaker import get_execution_role

PREFIX = "object2vec/steps"


def _upload(bucket, prefix, paths):
    """Upload files by channel, as the notebooks do, and return the URIs."""
    client = boto3.client("s3")
    uris = {}
    for name, path in paths.items():
        key = os.path.join(prefix, name, os.path.basename(path))
        client.upload_file(path, bucket, key)
        uris[name] = os.path.join("s3://", bucket, key)
    return uris


def _json_both_ways():
    """Return a serializer and a deserializer, from where the notebooks of 2020 have them."""
    try:
        from sagemaker.predictor import json_deserializer, json_serializer
    except ImportError:  # gone from later SDKs
        from sagemaker.deserializers import JSONDeserializer
        from sagemaker.serializers import JSONSerializer

        return JSONSerializer(), JSONDeserializer()
    return json_serializer, json_deserializer


def movies():
    """Ratings, then recommendation, then embeddings."""
    from sagemaker.deserializers import JSONDeserializer
    from sagemaker.inputs import TrainingInput
    from sagemaker.serializers import JSONSerializer

    from sagemaker import image_uris

    bucket = sagemaker.session.Session().default_bucket()
    sess = sagemaker.Session()
    role = get_execution_role()
    container = image_uris.retrieve(region=boto3.Session().region_name, framework="object2vec")
    seen = {"role": role}
    for task in ("r", "c"):
        paths = data.movies(task)
        uris = _upload(bucket, PREFIX + "/movies-" + task, paths)
        inputs = {
            name: TrainingInput(
                uri, distribution="ShardedByS3Key", content_type="application/jsonlines"
            )
            for name, uri in uris.items()
        }
        estimator = sagemaker.estimator.Estimator(
            container,
            role,
            instance_count=1,
            instance_type="ml.p2.xlarge",
            output_path=os.path.join("s3://", bucket, PREFIX, "output"),
            sagemaker_session=sess,
        )
        estimator.set_hyperparameters(**data.movies_hyperparameters(task))
        estimator.fit(inputs)
        predictor = estimator.create_model().deploy(
            serializer=JSONSerializer(),
            deserializer=JSONDeserializer(),
            content_type="application/json",
            initial_instance_count=1,
            instance_type="ml.m4.xlarge",
        )
        said = predictor.predict({"instances": data.pairs_of(paths["validation"])})
        seen["scores_" + task] = [len(row["scores"]) for row in said["predictions"]]
        if task == "c":
            movies = [{"in1": [movie]} for movie in range(1, data.MOVIES)]
            said = predictor.predict({"instances": movies})
            seen["embeddings"] = [len(row["embeddings"]) for row in said["predictions"]]
        predictor.delete_endpoint()
    return seen


def sentences():
    """A run, its metrics, a second one with vectors by `attach`, and a tuning job by boto3."""
    from sagemaker.amazon.amazon_estimator import get_image_uri
    from sagemaker.analytics import TrainingJobAnalytics
    from sagemaker.session import s3_input

    sess = sagemaker.Session()
    bucket, role = sess.default_bucket(), get_execution_role()
    container = get_image_uri(boto3.Session().region_name, "object2vec")
    paths = data.sentences()
    uris = _upload(bucket, PREFIX + "/sentences", paths)
    inputs = {
        name: s3_input(uri, distribution="ShardedByS3Key", content_type="application/jsonlines")
        for name, uri in uris.items()
    }
    output = os.path.join("s3://", bucket, PREFIX, "sentences-output/")
    regressor = sagemaker.estimator.Estimator(
        container,
        role,
        train_instance_count=1,
        train_instance_type="ml.p2.xlarge",
        output_path=output,
        sagemaker_session=sess,
    )
    hyperparameters = data.sentences_hyperparameters()
    regressor.set_hyperparameters(**hyperparameters)
    regressor.hyperparameters()
    regressor.fit(inputs)
    name = regressor.latest_training_job.job_name
    frame = TrainingJobAnalytics(
        training_job_name=name, metric_names=["validation:cross_entropy"]
    ).dataframe()
    seen = {"metrics": sorted(set(frame["metric_name"])), "job": name}
    predictor = regressor.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
    predictor.serializer, predictor.deserializer = _json_both_ways()
    pairs = data.pairs_of(paths["validation"])
    said = predictor.predict({"instances": pairs})
    seen["scores"] = [len(row["scores"]) for row in said["predictions"]]

    again, channels = _with_vectors(sess, regressor, inputs, bucket, hyperparameters)
    again.fit(channels)
    second = again.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
    second.serializer, second.deserializer = _json_both_ways()
    for side in ("in0", "in1"):
        said = second.predict({"instances": [{"in1": pair[side]} for pair in pairs]})
        seen["embeddings_" + side] = [len(row["embeddings"]) for row in said["predictions"]]
    sess.delete_endpoint(predictor.endpoint)
    sess.delete_endpoint(second.endpoint)
    seen["tuned"] = _tuned(container, role, uris, output, hyperparameters)
    return seen


def _with_vectors(sess, regressor, inputs, bucket, hyperparameters):
    """Return an estimator attached to a job that has ended, and its channels with vectors."""
    from sagemaker.session import s3_input

    auxiliary = PREFIX + "/auxiliary"
    client = boto3.client("s3")
    for name in ("glove.840B-trim.txt", "all_vocab.json"):
        client.upload_file(name, bucket, os.path.join(auxiliary, name))
    name = regressor.latest_training_job.name
    attached = regressor.attach(name, sagemaker_session=sess)
    attached.set_hyperparameters(**api.with_vectors(hyperparameters))
    channel = s3_input(
        "s3://" + bucket + "/" + auxiliary,
        distribution="FullyReplicated",
        content_type="application/json",
    )
    return attached, dict(inputs, auxiliary=channel)


def _tuned(container, role, uris, output, hyperparameters):
    """Run a tuning job as the notebook asks for it, by boto3; return its state and its jobs'."""
    client = boto3.Session().client("sagemaker")
    request = api.tuning(role, hyperparameters, uris, container, output)
    client.create_hyper_parameter_tuning_job(**request)
    name = {"HyperParameterTuningJobName": api.TUNING}
    state = "InProgress"
    while state == "InProgress":
        time.sleep(1)
        said = client.describe_hyper_parameter_tuning_job(**name)
        state = said["HyperParameterTuningJobStatus"]
    jobs = client.list_training_jobs_for_hyper_parameter_tuning_job(**name)
    return [state] + [job["TrainingJobStatus"] for job in jobs["TrainingJobSummaries"]]


def genres():
    """Channels by prefix, vectors for one side, batch transform, and single requests."""
    from sagemaker.amazon.amazon_estimator import get_image_uri
    from sagemaker.session import s3_input

    sess = sagemaker.Session()
    bucket = sess.default_bucket()
    prefix = PREFIX + "/genres"
    container = get_image_uri(boto3.Session().region_name, "object2vec")
    paths = data.genres()
    for name, path in paths.items():
        sess.upload_data(path, bucket, prefix + "/data/" + name)
    for path in ("vocab.json", "glove.840B.300d.txt"):
        sess.upload_data(path, bucket, prefix + "/data/auxiliary")
    base = f"s3://{bucket}/{prefix}"
    o2v = sagemaker.estimator.Estimator(
        container,
        get_execution_role(),
        train_instance_count=1,
        train_instance_type="ml.p3.8xlarge",
        output_path=base + "/output",
    )
    o2v.set_hyperparameters(**data.genres_hyperparameters())
    o2v.fit(
        {
            "train": s3_input(base + "/data/train/", content_type="application/jsonlines"),
            "validation": s3_input(
                base + "/data/validation/", content_type="application/jsonlines"
            ),
            "auxiliary": s3_input(base + "/data/auxiliary/"),
        }
    )
    transformer = o2v.transformer(
        instance_count=1, instance_type="ml.p3.8xlarge", output_path=base + "/predictions/"
    )
    transformer.transform(
        data=base + "/data/test/", content_type="application/jsonlines", split_type="Line"
    )
    transformer.wait()
    name = os.path.basename(paths["test"]) + ".out"
    boto3.client("s3").download_file(bucket, prefix + "/predictions/" + name, name)
    seen = {"transformed": [len(row["scores"]) for row in data.rows_of(name)]}
    predictor = o2v.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
    batch = [{"in0": [3, data.UNKNOWN, 7], "in1": [genre]} for genre in range(len(data.GENRES))]
    said = json.loads(predictor.predict(data=json.dumps({"instances": batch})))
    seen["scores"] = [len(row["scores"]) for row in said["predictions"]]
    predictor.delete_endpoint()
    return seen


def documents():
    """Three channels, a model with its own serializers, embeddings in batches."""
    from sagemaker.amazon.amazon_estimator import get_image_uri
    from sagemaker.session import s3_input

    region = boto3.Session().region_name
    sess = sagemaker.Session()
    role, container = get_execution_role(), get_image_uri(region, "object2vec")
    bucket = sess.default_bucket()
    paths = data.documents()
    uris = _upload(bucket, PREFIX + "/documents/input", paths)
    inputs = {
        name: s3_input(uri, distribution="ShardedByS3Key", content_type="application/jsonlines")
        for name, uri in uris.items()
    }
    doc2vec = sagemaker.estimator.Estimator(
        container,
        role,
        train_instance_count=1,
        train_instance_type="ml.p2.xlarge",
        output_path=os.path.join("s3://", bucket, PREFIX, "documents/models"),
        sagemaker_session=sess,
    )
    doc2vec.set_hyperparameters(**data.documents_hyperparameters())
    doc2vec.fit(inputs)
    model = doc2vec.create_model()
    predictor = model.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
    predictor.serializer, predictor.deserializer = _json_both_ways()
    documents = [{"in0": row["in1"]} for row in data.rows_of(paths["test"])]
    found = []
    for start in range(0, len(documents), 25):
        said = predictor.predict({"instances": documents[start : start + 25]})
        found += said["predictions"]
    seen = {"embeddings": [len(row["embeddings"]) for row in found]}
    final = sess.sagemaker_client.describe_training_job(
        TrainingJobName=doc2vec.latest_training_job.name
    )["FinalMetricDataList"]
    seen["metrics"] = sorted(each["MetricName"] for each in final)
    predictor.delete_endpoint()
    return seen
