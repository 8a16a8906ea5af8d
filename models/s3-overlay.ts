/**
 * What S3's answers have and botocore, which ignores root elements, does not know: the namespace and the root's name
 * [Amazon S3 API Reference, response syntax of each operation].
 */
import type { ModelData, ShapeData } from "../src/wire/models/data.ts";

const ROOT_NAMES: Readonly<Record<string, string>> = {
  CompleteMultipartUploadOutput: "CompleteMultipartUploadResult",
  CreateMultipartUploadOutput: "InitiateMultipartUploadResult",
  DeleteObjectsOutput: "DeleteResult",
  GetBucketAccelerateConfigurationOutput: "AccelerateConfiguration",
  GetBucketAclOutput: "AccessControlPolicy",
  GetBucketCorsOutput: "CORSConfiguration",
  GetBucketLifecycleConfigurationOutput: "LifecycleConfiguration",
  GetBucketLocationOutput: "LocationConstraint",
  GetBucketLoggingOutput: "BucketLoggingStatus",
  GetBucketRequestPaymentOutput: "RequestPaymentConfiguration",
  GetBucketTaggingOutput: "Tagging",
  GetBucketVersioningOutput: "VersioningConfiguration",
  GetBucketWebsiteOutput: "WebsiteConfiguration",
  GetObjectAclOutput: "AccessControlPolicy",
  GetObjectAttributesOutput: "GetObjectAttributesResponse",
  GetObjectTaggingOutput: "Tagging",
  ListBucketsOutput: "ListAllMyBucketsResult",
  ListMultipartUploadsOutput: "ListMultipartUploadsResult",
  ListObjectsOutput: "ListBucketResult",
  ListObjectsV2Output: "ListBucketResult",
  ListObjectVersionsOutput: "ListVersionsResult",
  ListPartsOutput: "ListPartsResult",
};

export function applyS3Overlay(model: ModelData): ModelData {
  const shapes: Record<string, ShapeData> = { ...model.shapes };
  for (const [name, locationName] of Object.entries(ROOT_NAMES)) {
    const shape = shapes[name];
    if (shape === undefined) throw new Error(`S3 has no shape ${name}`);
    shapes[name] = { ...shape, locationName };
  }
  const xmlNamespace = { uri: "http://s3.amazonaws.com/doc/2006-03-01/" };
  return { ...model, metadata: { ...model.metadata, xmlNamespace }, shapes };
}
