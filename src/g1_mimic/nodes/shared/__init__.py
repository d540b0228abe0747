"""What several nodes share: parameters, messages, quality of service, guards."""
