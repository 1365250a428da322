"""SageMaker Python SDK v3: ModelTrainer, ModelBuilder, HyperparameterTuner, Transformer."""

import os

import api
import boto3
import data
from sagemaker.core import image_uris
from sagemaker.core.deserializers import JSONDeserializer
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.parameter import IntegerParameter
from sagemaker.core.resources import EndpointConfig, Model
from sagemaker.core.serializers import JSONSerializer
from sagemaker.core.shapes import OutputDataConfig
from sagemaker.core.training.configs import Compute, InputData
from sagemaker.core.transformer import Transformer
from sagemaker.serve import ModelBuilder
from sagemaker.train import ModelTrainer
from sagemaker.train.tuner import HyperparameterTuner


class Account:
    """A session, its role, its bucket and the image of Object2Vec."""

    def __init__(self):
        self.session = Session()
        self.role, self.bucket = get_execution_role(), self.session.default_bucket()
        self.image = image_uris.retrieve(
            framework="object2vec", region=self.session.boto_region_name
        )
        self.endpoints = []

    def upload(self, prefix, paths):
        """Upload files by channel, and return the URIs."""
        uris = {}
        for name, path in paths.items():
            uris[name] = self.session.upload_data(path, self.bucket, prefix + "/" + name)
        return uris

    def trainer(self, name, hyperparameters):
        """Return what trains with these hyperparameters."""
        return ModelTrainer(
            training_image=self.image,
            role=self.role,
            base_job_name=name,
            sagemaker_session=self.session,
            compute=Compute(instance_type="ml.m5.xlarge", instance_count=1),
            hyperparameters=hyperparameters,
            output_data_config=OutputDataConfig(s3_output_path=f"s3://{self.bucket}/output"),
        )

    def train(self, name, hyperparameters, uris):
        """Train, and return the job."""
        trainer = self.trainer(name, hyperparameters)
        trainer.train(input_data_config=inputs_of(uris), wait=True, logs=True)
        job = trainer._latest_training_job
        job.refresh()
        return job

    def deploy(self, job, name):
        """Build a model of a job that has ended and deploy it; return the endpoint."""
        builder = ModelBuilder(
            image_uri=self.image,
            s3_model_data_url=job.model_artifacts.s3_model_artifacts,
            role_arn=self.role,
            sagemaker_session=self.session,
            instance_type="ml.m5.xlarge",
        )
        builder.build(model_name=name)
        endpoint = builder.deploy(endpoint_name=name, instance_type="ml.m5.xlarge")
        endpoint.serializer, endpoint.deserializer = JSONSerializer(), JSONDeserializer()
        self.endpoints.append(endpoint)
        return endpoint

    def clean(self):
        """Delete all endpoints, their configurations and models."""
        for endpoint in self.endpoints:
            name = endpoint.endpoint_name
            config = endpoint.refresh().endpoint_config_name
            endpoint.delete()
            EndpointConfig.get(config).delete()
            Model.get(name).delete()


def inputs_of(uris):
    """Return channels of records, and of files beside them."""
    kinds = {"auxiliary": "application/json"}
    return [
        InputData(
            channel_name=name,
            data_source=uri,
            content_type=kinds.get(name, "application/jsonlines"),
        )
        for name, uri in uris.items()
    ]


def ask(endpoint, instances):
    """Return the predictions of an endpoint."""
    said = endpoint.invoke(
        body={"instances": instances}, content_type="application/json", accept="application/json"
    )
    return said.body["predictions"]


def movies():
    """Ratings, then recommendation, then embeddings."""
    account = Account()
    seen = {"role": account.role}
    for task in ("r", "c"):
        name = "movies-" + task
        paths = data.movies(task)
        uris = account.upload(name, paths)
        job = account.train(name, data.movies_hyperparameters(task), uris)
        endpoint = account.deploy(job, name)
        found = ask(endpoint, data.pairs_of(paths["validation"]))
        seen["scores_" + task] = [len(row["scores"]) for row in found]
        if task == "c":
            found = ask(endpoint, [{"in1": [movie]} for movie in range(1, data.MOVIES)])
            seen["embeddings"] = [len(row["embeddings"]) for row in found]
    account.clean()
    return seen


def sentences():
    """A run, its metrics, a second one with vectors, and a tuning job."""
    account = Account()
    paths = data.sentences()
    uris = account.upload("sentences", paths)
    hyperparameters = data.sentences_hyperparameters()
    job = account.train("sentences", hyperparameters, uris)
    final = [each.metric_name for each in job.final_metric_data_list]
    seen = {"metrics": [name for name in final if name == "validation:cross_entropy"]}
    pairs = data.pairs_of(paths["validation"])
    endpoint = account.deploy(job, "sentences")
    seen["scores"] = [len(row["scores"]) for row in ask(endpoint, pairs)]
    for path in ("glove.840B-trim.txt", "all_vocab.json"):
        account.session.upload_data(path, account.bucket, "sentences/auxiliary")
    channels = dict(uris, auxiliary=f"s3://{account.bucket}/sentences/auxiliary")
    second = account.train("sentences-2", api.with_vectors(hyperparameters), channels)
    endpoint = account.deploy(second, "sentences-2")
    for side in ("in0", "in1"):
        found = ask(endpoint, [{"in1": pair[side]} for pair in pairs])
        seen["embeddings_" + side] = [len(row["embeddings"]) for row in found]
    account.clean()
    seen["tuned"] = tuned(account, hyperparameters, uris)
    return seen


def tuned(account, hyperparameters, uris):
    """Run a tuning job, and return its state and those of its jobs."""
    tuner = HyperparameterTuner(
        account.trainer("hpo-o2v-test", hyperparameters),
        "validation:accuracy",
        {"enc_dim": IntegerParameter(4, 16)},
        max_jobs=2,
        max_parallel_jobs=2,
    )
    tuner.tune(inputs=inputs_of(uris), wait=True)
    frame = tuner.analytics().dataframe()
    return [
        tuner.describe().hyper_parameter_tuning_job_status,
        *frame["TrainingJobStatus"],
    ]


def genres():
    """Channels by prefix, vectors for one side, batch transform, and single requests."""
    account = Account()
    paths = data.genres()
    account.upload("genres", paths)
    base = f"s3://{account.bucket}/genres/"
    for path in ("vocab.json", "glove.840B.300d.txt"):
        account.session.upload_data(path, account.bucket, "genres/auxiliary")
    channels = {name: base + name + "/" for name in ("train", "validation", "auxiliary")}
    job = account.train("genres", data.genres_hyperparameters(), channels)
    endpoint = account.deploy(job, "genres")
    transformer = Transformer(
        model_name="genres",
        instance_count=1,
        instance_type="ml.m5.xlarge",
        output_path=base + "predictions/",
        sagemaker_session=account.session,
    )
    transformer.transform(
        base + "test/", content_type="application/jsonlines", split_type="Line", wait=True
    )
    name = os.path.basename(paths["test"]) + ".out"
    boto3.client("s3").download_file(account.bucket, "genres/predictions/" + name, name)
    seen = {"transformed": [len(row["scores"]) for row in data.rows_of(name)]}
    batch = [{"in0": [3, 5, 7], "in1": [genre]} for genre in range(len(data.GENRES))]
    seen["scores"] = [len(row["scores"]) for row in ask(endpoint, batch)]
    account.clean()
    return seen


def documents():
    """Three channels, embeddings in batches, the metrics of the test."""
    account = Account()
    paths = data.documents()
    uris = account.upload("documents", paths)
    job = account.train("documents", data.documents_hyperparameters(), uris)
    endpoint = account.deploy(job, "documents")
    found = []
    articles = [{"in0": row["in1"]} for row in data.rows_of(paths["test"])]
    for start in range(0, len(articles), 25):
        found += ask(endpoint, articles[start : start + 25])
    account.clean()
    return {
        "embeddings": [len(row["embeddings"]) for row in found],
        "metrics": sorted(each.metric_name for each in job.final_metric_data_list),
    }
