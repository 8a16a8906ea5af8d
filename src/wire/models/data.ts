/**
 * The form of the generated files in models/data: what botocore's service models say, without their documentation.
 * The names are botocore's own, so that its serializers can be read beside ours.
 */

export type ShapeType =
  | "structure"
  | "list"
  | "map"
  | "string"
  | "blob"
  | "boolean"
  | "integer"
  | "long"
  | "float"
  | "double"
  | "timestamp"
  | "document";

export type TimestampFormat = "iso8601" | "rfc822" | "unixTimestamp";

export type MemberLocation = "uri" | "querystring" | "header" | "headers" | "statusCode";

export interface XmlNamespace {
  readonly uri: string;
  readonly prefix?: string;
}

/** A use of a shape: as a structure's member, a list's element, or a map's key or value. */
export interface MemberData {
  readonly shape: string;
  /** Where in HTTP the member goes; absent: the body. */
  readonly location?: MemberLocation;
  /** The name on the wire, when it is not the member's own. */
  readonly locationName?: string;
  /** The name in awsQuery's forms where it differs (an overlay: botocore has it only for ec2Query). */
  readonly queryName?: string;
  readonly timestampFormat?: TimestampFormat;
  readonly flattened?: true;
  readonly xmlAttribute?: true;
  readonly xmlNamespace?: XmlNamespace;
  readonly jsonvalue?: true;
  readonly hostLabel?: true;
  readonly idempotencyToken?: true;
  readonly eventpayload?: true;
  readonly eventheader?: true;
}

export interface ShapeData {
  readonly type: ShapeType;
  /** Structures. */
  readonly members?: Readonly<Record<string, MemberData>>;
  readonly required?: readonly string[];
  /** The member that is the whole body. */
  readonly payload?: string;
  readonly union?: true;
  readonly eventstream?: true;
  readonly event?: true;
  readonly exception?: true;
  /** An error's code on the wire, where it is not the shape's name, and its HTTP status. */
  readonly error?: {
    readonly code?: string;
    readonly httpStatusCode?: number;
    readonly senderFault?: boolean;
  };
  readonly fault?: true;
  /** The root element's name in XML. */
  readonly locationName?: string;
  readonly xmlNamespace?: XmlNamespace;
  /** Lists and maps. */
  readonly member?: MemberData;
  readonly key?: MemberData;
  readonly value?: MemberData;
  readonly flattened?: true;
  /** Blobs whose length is not known beforehand. */
  readonly streaming?: true;
  readonly timestampFormat?: TimestampFormat;
  /** Constraints: lengths in characters, bytes or elements; values of numbers. */
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: string;
  readonly enum?: readonly string[];
  readonly sensitive?: true;
}

export interface OperationData {
  readonly http: { readonly method: string; readonly requestUri: string; readonly responseCode?: number };
  readonly input?: {
    readonly shape: string;
    readonly locationName?: string;
    readonly xmlNamespace?: XmlNamespace;
  };
  readonly output?: { readonly shape: string; readonly resultWrapper?: string };
  readonly errors?: readonly string[];
  readonly auth?: "none" | "unsigned-body";
  /** Clients may send the body with `Content-Encoding: gzip`. */
  readonly requestCompression?: true;
  /** `stream-` or `{RequestRoute}.`: put before the host's name by clients. */
  readonly hostPrefix?: string;
}

export interface ServiceMetadata {
  readonly apiVersion: string;
  readonly serviceId: string;
  readonly endpointPrefix: string;
  /** The service in the SigV4 credential scope. */
  readonly signingName: string;
  /** botocore's names: rest-json, rest-xml, json, query, ec2, smithy-rpc-v2-cbor; the preferred one first. */
  readonly protocols: readonly string[];
  readonly targetPrefix?: string;
  readonly jsonVersion?: "1.0" | "1.1";
  readonly xmlNamespace?: XmlNamespace;
  /** Of the shapes' ids: `com.amazonaws.sqs`. Errors of awsJson 1.0 and rpc-v2-cbor are named with it. */
  readonly namespace?: string;
  /** Errors carry their awsQuery code in `x-amzn-query-error`. */
  readonly awsQueryCompatible?: true;
}

export interface ModelData {
  readonly metadata: ServiceMetadata;
  readonly operations: Readonly<Record<string, OperationData>>;
  readonly shapes: Readonly<Record<string, ShapeData>>;
}

/** models/data/index.json: enough to tell which service a request is for without loading its model. */
export type ModelIndex = Readonly<Record<string, ServiceMetadata>>;
