"""SageMaker Python SDK v3: ModelTrainer, ModelBuilder, HyperparameterTuner, Transformer."""

import boto3
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
        self.endpoints = {}

    def upload(self, prefix, paths):
        """Upload files by channel, and return the URIs."""
        uris = {}
        for name, path in paths.items():
            uris[name] = self.session.upload_data(path, self.bucket, prefix + "/" + name)
        return uris

    def put(self, paths, prefix):
        """Upload files into one folder."""
        for path in paths:
            self.session.upload_data(path, self.bucket, prefix)

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

    def metrics(self, job):
        """Return the names of a job's metrics."""
        return [each.metric_name for each in job.final_metric_data_list]

    def check_log(self, name):
        """Nothing: `train` has shown it."""

    def deploy(self, name, job):
        """Build a model of a job that has ended and deploy it."""
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
        self.endpoints[name] = endpoint

    def ask(self, name, instances):
        """Return the predictions of an endpoint."""
        kind = "application/json"
        said = self.endpoints[name].invoke(
            body={"instances": instances}, content_type=kind, accept=kind
        )
        return said.body["predictions"]

    def transform(self, name, base, file):
        """Transform a folder, and fetch what a file of it became."""
        transformer = Transformer(
            model_name=name,
            instance_count=1,
            instance_type="ml.m5.xlarge",
            output_path=base + "predictions/",
            sagemaker_session=self.session,
        )
        transformer.transform(
            base + "test/", content_type="application/jsonlines", split_type="Line", wait=True
        )
        boto3.client("s3").download_file(self.bucket, name + "/predictions/" + file, file)

    def tune(self, hyperparameters, uris):
        """Run a tuning job, and return its state and those of its jobs."""
        tuner = HyperparameterTuner(
            self.trainer("hpo-o2v-test", hyperparameters),
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

    def clean(self, names):
        """Delete endpoints, their configurations and models."""
        for name in names:
            endpoint = self.endpoints[name]
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
