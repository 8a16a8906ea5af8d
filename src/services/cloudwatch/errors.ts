/** CloudWatch's errors, by the names of its model's shapes. */
import { AwsError } from "../../errors.ts";

export const invalidParameter = (message: string) => new AwsError("InvalidParameterValueException", message);
export const invalidCombination = (message: string) =>
  new AwsError("InvalidParameterCombinationException", message);
export const missingParameter = (message: string) =>
  new AwsError("MissingRequiredParameterException", message);
export const invalidNextToken = () =>
  new AwsError("InvalidNextToken", "The specified next token is invalid.");
export const invalidFormat = (message: string) => new AwsError("InvalidFormatFault", message);
/** Alarms that are named and not there. */
export const alarmNotFound = (message: string) => new AwsError("ResourceNotFound", message, { status: 404 });
/** What is named by its ARN and not there. */
export const resourceNotFound = (message: string) =>
  new AwsError("ResourceNotFoundException", message, { status: 404 });
export const limitExceeded = (message: string) => new AwsError("LimitExceededFault", message);
/** More than the store takes at the moment. */
export const throttled = () => new AwsError("ThrottlingException", "Rate exceeded", { status: 429 });
