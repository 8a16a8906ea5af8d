/** What CloudWatch Logs answers, in AWS's words. Every caller's mistake is status 400. */
import { AwsError } from "../../errors.ts";

export const invalidParameter = (message: string) => new AwsError("InvalidParameterException", message);
export const groupNotFound = () =>
  new AwsError("ResourceNotFoundException", "The specified log group does not exist.");
export const streamNotFound = () =>
  new AwsError("ResourceNotFoundException", "The specified log stream does not exist.");
export const groupExists = () =>
  new AwsError("ResourceAlreadyExistsException", "The specified log group already exists");
export const streamExists = () =>
  new AwsError("ResourceAlreadyExistsException", "The specified log stream already exists");
export const limitExceeded = () => new AwsError("LimitExceededException", "Resource limit exceeded.");
export const invalidNextToken = () => invalidParameter("The specified nextToken is invalid.");
export const tooManyTags = (resourceName: string) =>
  new AwsError("TooManyTagsException", "A resource can have no more than 50 tags.", {
    members: { resourceName },
  });
export const serviceUnavailable = (cause?: unknown) =>
  new AwsError("ServiceUnavailableException", "The service cannot complete the request.", {
    status: 503,
    cause,
  });
