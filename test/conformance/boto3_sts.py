"""STS as boto3 sees it: who am I, sessions of roles and what they may, and each documented error that can be brought about."""

import base64
import json
import os
import time

from boto3_checks import ACCOUNT, all_refused, check, client, has, refused, run, session

ARN = f"arn:aws:iam::{ACCOUNT}:"
ROOT = os.environ["AWS_ACCESS_KEY_ID"]
sts = client("sts")
iam = client("iam")


def document(effect="Allow", action="iam:ListUsers", **more):
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": action, **({} if "Principal" in more else {"Resource": "*"}), **more}]}


def role(name, **settings):
    trust = document(action=["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], Principal={"AWS": ARN + "root"})
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust), **settings)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(document(action=["iam:List*", "sts:*"])))
    return made


@check
def caller_identity():
    has(sts.get_caller_identity(), UserId=ACCOUNT, Account=ACCOUNT, Arn=ARN + "root")
    all_refused([
        ("InvalidClientTokenId", "The security token included in the request is invalid.", client("sts", aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x").get_caller_identity, {}),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match", client("sts", aws_access_key_id=ROOT, aws_secret_access_key="x").get_caller_identity, {}),
        ("InvalidClientTokenId", "The security token included in the request is invalid", client("sts", aws_access_key_id=ROOT, aws_secret_access_key="x", aws_session_token="made up").get_caller_identity, {}),
    ])


@check
def assume_role():
    made = role("visitor")
    answer = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="tour", DurationSeconds=900, Tags=[{"Key": "team", "Value": "birds"}], SourceIdentity="ann")
    has(answer, SourceIdentity="ann")
    has(answer["AssumedRoleUser"], Arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/visitor/tour", AssumedRoleId=made["RoleId"] + ":tour")
    left_s = answer["Credentials"]["Expiration"].timestamp() - time.time()
    assert 800 < left_s <= 901, left_s
    visitor = session("sts", answer["Credentials"])
    has(visitor.get_caller_identity(), Arn=answer["AssumedRoleUser"]["Arn"], UserId=made["RoleId"] + ":tour")
    session("iam", answer["Credentials"]).list_users()
    refused("AccessDenied", f"User: arn:aws:sts::{ACCOUNT}:assumed-role/visitor/tour is not authorized to perform: iam:CreateUser on resource: {ARN}user/x", session("iam", answer["Credentials"]).create_user, UserName="x")
    chained = {"RoleArn": made["Arn"], "RoleSessionName": "again"}
    all_refused([
        ("AccessDenied", "is not authorized to perform: sts:AssumeRole on resource: " + made["Arn"] + "x", sts.assume_role, {"RoleArn": made["Arn"] + "x", "RoleSessionName": "tour"}),
        ("ValidationError", "exceeds the 1 hour session limit for roles assumed by role chaining", visitor.assume_role, {**chained, "DurationSeconds": 3601}),
        ("ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", sts.assume_role, {**chained, "DurationSeconds": 7200}),
        ("ValidationError", "at 'durationSeconds'", sts.assume_role, {**chained, "DurationSeconds": 43201}),
        ("ValidationError", "at 'roleSessionName'", sts.assume_role, {**chained, "RoleSessionName": "no spaces"}),
        ("MalformedPolicyDocumentException", "", sts.assume_role, {**chained, "Policy": "{no json"}),
        ("MalformedPolicyDocumentException", "", sts.assume_role, {**chained, "PolicyArns": [{"arn": ARN + "policy/none"}]}),
        ("AccessDenied", "Cannot call GetSessionToken with session credentials", visitor.get_session_token, {}),
        ("AccessDenied", "Cannot call GetFederationToken with session credentials", visitor.get_federation_token, {"Name": "guest"}),
    ])


@check
def session_policy():
    made = role("limited", MaxSessionDuration=7200)
    narrow = json.dumps(document(action="iam:ListUsers"))
    answer = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="tour", Policy=narrow, DurationSeconds=7200)
    assert 0 < answer["PackedPolicySize"] <= 100, answer
    inside = session("iam", answer["Credentials"])
    inside.list_users()
    refused("AccessDenied", "because no session policy allows the iam:ListRoles action", inside.list_roles)


@check
def session_token():
    name = "tokens"
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(document(action=["iam:ListUsers", "sts:*"])))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    user = client("sts", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    given = user.get_session_token(DurationSeconds=900)["Credentials"]
    assert given["AccessKeyId"].startswith("ASIA"), given
    has(session("sts", given).get_caller_identity(), Arn=arn)
    federated = user.get_federation_token(Name="guest", Policy=json.dumps(document()))
    has(federated["FederatedUser"], Arn=f"arn:aws:sts::{ACCOUNT}:federated-user/guest", FederatedUserId=f"{ACCOUNT}:guest")
    has(session("sts", federated["Credentials"]).get_caller_identity(), Arn=federated["FederatedUser"]["Arn"])
    assert sts.get_access_key_info(AccessKeyId=key["AccessKeyId"])["Account"] == ACCOUNT
    all_refused([
        ("ValidationError", "", sts.get_access_key_info, {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
        ("InvalidAuthorizationMessageException", "", sts.decode_authorization_message, {"EncodedMessage": "x"}),
        ("MalformedPolicyDocumentException", "", user.get_federation_token, {"Name": "guest", "Policy": "{}"}),
        ("ValidationError", "at 'durationSeconds'", user.get_session_token, {"DurationSeconds": 129601}),
    ])


@check
def web_identity():
    made = role("web")

    def token(**claims):
        parts = [json.dumps({"alg": "RS256", "kid": "k", "typ": "JWT"}), json.dumps(claims), "signature"]
        return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)

    call = {"RoleArn": made["Arn"], "RoleSessionName": "web"}
    stranger = token(iss="https://unknown.example.com", aud="sts.amazonaws.com", sub="s", exp=int(time.time()) + 60)
    all_refused([
        ("InvalidIdentityTokenException", "", sts.assume_role_with_web_identity, {**call, "WebIdentityToken": "no.token.here"}),
        ("InvalidIdentityTokenException", "No OpenIDConnect provider found in your account for https://unknown.example.com", sts.assume_role_with_web_identity, {**call, "WebIdentityToken": stranger}),
    ])


run()
