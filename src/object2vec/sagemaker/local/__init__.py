"""SageMaker on this machine: a service that AWS's own SDKs, CLI and clients talk to, unchanged.

A client reaches it as its HTTPS proxy, or by an endpoint URL. What it asks of SageMaker is done
here, by the container's own contract: jobs are processes, endpoints are servers, buckets are
folders. What it asks of S3, STS, IAM and CloudWatch is handled by moto over those folders. All
that there is lies in one folder, so the service can be killed and started again.

==================  ==============================================================================
`service`           the server: who asks for what, by proxy or by URL
`certificates`      what makes a client trust it
`tunnels`           what is passed through to other hosts
`aws`, `buckets`    services that moto offers, and the folders behind its S3
`protocol`          SageMaker's and CloudWatch Logs' requests and responses, by botocore's models
`resources`         everything that has a name and a state, as JSON files
`api`               SageMaker: its kinds of resources, and all operations
`jobs`, `queued`    what runs: a queue, processes that outlive nobody, the course of a job
`training`          training jobs, with `checkpoints`, `metrics` and `images`
`transforms`        batch transform jobs, with `selections`
`tuning_jobs`       tuning jobs, with `tuning_requests`
`endpoints`         models and their servers, with `calls` to these
`catalogue`         tags and searches
`storage`, `logs`   the data and the logs of all of them
==================  ==============================================================================
"""
