"""SageMaker's side: the container's contract, and the service that real SDKs talk to here.

The container is what SageMaker starts for a job or an endpoint (`container`, `paths`,
`algorithms`). `local` is SageMaker itself on this machine.
"""
