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
`api`               SageMaker's operations
`jobs`              what runs: a queue, and processes that outlive nobody
`training`, `transforms`, `endpoints`, `logs`, `metrics`
==================  ==============================================================================
"""
