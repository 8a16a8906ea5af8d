"""IAM as boto3 sees it: every operation that is there, each documented error that can be brought about, paginators, waiters."""

import json
import urllib.parse

from boto3_checks import ACCOUNT, WAIT, all_refused, check, client, has, paged, refused, run

ARN = f"arn:aws:iam::{ACCOUNT}:"
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
iam = client("iam")


def policy(action="s3:GetObject", **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*", **more}]})


def trust(service="lambda.amazonaws.com"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]})


def nothing(kind, name):
    return f"The {kind} with name {name} cannot be found."


@check
def users():
    made = iam.create_user(UserName="Ann", Path="/team/", Tags=[{"Key": "a", "Value": "b"}])["User"]
    has(made, Arn=ARN + "user/team/Ann", Path="/team/", Tags=[{"Key": "a", "Value": "b"}])
    iam.get_waiter("user_exists").wait(UserName="Ann", WaiterConfig=WAIT)
    assert iam.get_user(UserName="Ann")["User"] == made
    iam.tag_user(UserName="Ann", Tags=[{"Key": "c", "Value": ""}])
    iam.untag_user(UserName="Ann", TagKeys=["a"])
    assert paged(iam, "list_user_tags", "Tags", 1, UserName="Ann") == [{"Key": "c", "Value": ""}]
    iam.update_user(UserName="Ann", NewUserName="Anna", NewPath="/")
    assert iam.get_user(UserName="Anna")["User"]["UserId"] == made["UserId"]
    assert iam.get_user()["User"]["Arn"] == ARN + "root"
    iam.put_user_permissions_boundary(UserName="Anna", PermissionsBoundary=BASIC)
    has(iam.get_user(UserName="Anna")["User"]["PermissionsBoundary"], PermissionsBoundaryArn=BASIC)
    iam.delete_user_permissions_boundary(UserName="Anna")
    for index in range(5):
        iam.create_user(UserName=f"page-{index}", Path="/pages/")
    found = paged(iam, "list_users", "Users", 2, PathPrefix="/pages/")
    assert [one["UserName"] for one in found] == [f"page-{index}" for index in range(5)], found
    all_refused([
        ("EntityAlreadyExistsException", "User with name anna already exists.", iam.create_user, {"UserName": "anna"}),
        ("EntityAlreadyExistsException", "User with name page-0 already exists.", iam.update_user, {"UserName": "Anna", "NewUserName": "page-0"}),
        ("NoSuchEntityException", nothing("user", "bob"), iam.get_user, {"UserName": "bob"}),
        ("NoSuchEntityException", nothing("user", "bob"), iam.update_user, {"UserName": "bob"}),
        ("NoSuchEntityException", nothing("user", "bob"), iam.delete_user, {"UserName": "bob"}),
        ("NoSuchEntityException", nothing("user", "bob"), iam.tag_user, {"UserName": "bob", "Tags": []}),
        ("NoSuchEntityException", "is not attachable", iam.create_user, {"UserName": "b", "PermissionsBoundary": ARN + "policy/none"}),
        ("NoSuchEntityException", "No permissions boundary", iam.delete_user_permissions_boundary, {"UserName": "Anna"}),
        ("ValidationError", "1 validation error detected: Value 'no spaces' at 'userName'", iam.create_user, {"UserName": "no spaces"}),
        ("ValidationError", "Duplicate tag keys", iam.create_user, {"UserName": "b", "Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]}),
    ])
    iam.delete_user(UserName="Anna")


@check
def groups():
    made = iam.create_group(GroupName="birds", Path="/team/")["Group"]
    has(made, Arn=ARN + "group/team/birds")
    for name in ("g1", "g2", "g3"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="birds", UserName=name)
    assert [one["UserName"] for one in paged(iam, "get_group", "Users", 2, GroupName="birds")] == ["g1", "g2", "g3"]
    assert paged(iam, "list_groups_for_user", "Groups", 1, UserName="g1") == [made]
    assert paged(iam, "list_groups", "Groups", 1, PathPrefix="/team/") == [made]
    all_refused([
        ("EntityAlreadyExistsException", "Group with name Birds already exists.", iam.create_group, {"GroupName": "Birds"}),
        ("NoSuchEntityException", nothing("group", "fish"), iam.get_group, {"GroupName": "fish"}),
        ("NoSuchEntityException", nothing("group", "fish"), iam.add_user_to_group, {"GroupName": "fish", "UserName": "g1"}),
        ("NoSuchEntityException", nothing("user", "g9"), iam.add_user_to_group, {"GroupName": "birds", "UserName": "g9"}),
        ("NoSuchEntityException", nothing("user", "g9"), iam.list_groups_for_user, {"UserName": "g9"}),
        ("DeleteConflictException", "must remove users from group first", iam.delete_group, {"GroupName": "birds"}),
        ("DeleteConflictException", "must remove user from all groups first", iam.delete_user, {"UserName": "g1"}),
    ])
    iam.update_group(GroupName="birds", NewGroupName="ovenbirds", NewPath="/")
    for name in ("g1", "g2", "g3"):
        iam.remove_user_from_group(GroupName="ovenbirds", UserName=name)
    refused("NoSuchEntityException", "g1", iam.remove_user_from_group, GroupName="ovenbirds", UserName="g1")
    iam.delete_group(GroupName="ovenbirds")


@check
def access_keys():
    iam.create_user(UserName="keys")
    key = iam.create_access_key(UserName="keys")["AccessKey"]
    has(key, UserName="keys", Status="Active")
    own = client("iam", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    refused("AccessDenied", f"User: {ARN}user/keys is not authorized to perform: iam:ListAccessKeys on resource: ", own.list_access_keys)
    iam.put_user_policy(UserName="keys", PolicyName="own", PolicyDocument=policy("iam:*"))
    assert [one["AccessKeyId"] for one in own.get_paginator("list_access_keys").paginate().build_full_result()["AccessKeyMetadata"]] == [key["AccessKeyId"]]
    assert iam.list_access_keys(UserName="keys")["AccessKeyMetadata"][0]["Status"] == "Active"
    last = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
    assert last["UserName"] == "keys" and last["AccessKeyLastUsed"]["ServiceName"] == "iam", last
    iam.create_access_key(UserName="keys")
    iam.update_access_key(UserName="keys", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    all_refused([
        ("LimitExceededException", "Cannot exceed quota for AccessKeysPerUser: 2", iam.create_access_key, {"UserName": "keys"}),
        ("NoSuchEntityException", nothing("user", "bob"), iam.create_access_key, {"UserName": "bob"}),
        ("NoSuchEntityException", "The Access Key with id AKIAIOSFODNN7EXAMPLE cannot be found.", iam.delete_access_key, {"UserName": "keys", "AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
        ("NoSuchEntityException", "cannot be found", iam.update_access_key, {"UserName": "keys", "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "Status": "Active"}),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", own.get_user, {}),
        ("DeleteConflictException", "must delete access keys first", iam.delete_user, {"UserName": "keys"}),
    ])
    iam.delete_access_key(UserName="keys", AccessKeyId=key["AccessKeyId"])


@check
def what_users_do_not_have():
    iam.create_user(UserName="plain")
    assert paged(iam, "list_mfa_devices", "MFADevices", 1, UserName="plain") == []
    assert paged(iam, "list_signing_certificates", "Certificates", 1, UserName="plain") == []
    assert paged(iam, "list_ssh_public_keys", "SSHPublicKeys", 1, UserName="plain") == []
    assert iam.list_service_specific_credentials(UserName="plain")["ServiceSpecificCredentials"] == []
    assert paged(iam, "list_virtual_mfa_devices", "VirtualMFADevices", 1) == []
    assert paged(iam, "list_server_certificates", "ServerCertificateMetadataList", 1) == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
    assert paged(iam, "list_account_aliases", "AccountAliases", 1) == []
    all_refused([
        ("NoSuchEntityException", "Login Profile for User plain cannot be found.", iam.get_login_profile, {"UserName": "plain"}),
        ("NoSuchEntityException", "Login Profile for User plain cannot be found.", iam.delete_login_profile, {"UserName": "plain"}),
        ("NoSuchEntityException", "cannot be found", iam.get_account_password_policy, {}),
    ])


@check
def roles():
    made = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=trust(), Description="reads", MaxSessionDuration=7200, PermissionsBoundary=BASIC, Tags=[{"Key": "a", "Value": "b"}])["Role"]
    has(made, Arn=ARN + "role/reader", MaxSessionDuration=7200, Description="reads")
    iam.get_waiter("role_exists").wait(RoleName="reader", WaiterConfig=WAIT)
    got = iam.get_role(RoleName="reader")["Role"]
    assert got["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}, got
    assert got["RoleLastUsed"] == {} and got["PermissionsBoundary"]["PermissionsBoundaryArn"] == BASIC, got
    iam.update_role(RoleName="reader", Description="still reads", MaxSessionDuration=3600)
    assert iam.update_role_description(RoleName="reader", Description="read")["Role"]["Description"] == "read"
    iam.update_assume_role_policy(RoleName="reader", PolicyDocument=trust("events.amazonaws.com"))
    iam.delete_role_permissions_boundary(RoleName="reader")
    iam.put_role_permissions_boundary(RoleName="reader", PermissionsBoundary=BASIC)
    iam.tag_role(RoleName="reader", Tags=[{"Key": "c", "Value": "d"}, {"Key": "e", "Value": "f"}])
    iam.untag_role(RoleName="reader", TagKeys=["a"])
    assert paged(iam, "list_role_tags", "Tags", 1, RoleName="reader") == [{"Key": "c", "Value": "d"}, {"Key": "e", "Value": "f"}]
    for index in range(3):
        iam.create_role(RoleName=f"page-{index}", Path="/pages/", AssumeRolePolicyDocument=trust())
    found = paged(iam, "list_roles", "Roles", 2, PathPrefix="/pages/")
    assert [one["RoleName"] for one in found] == ["page-0", "page-1", "page-2"], found
    iam.attach_role_policy(RoleName="reader", PolicyArn=BASIC)
    all_refused([
        ("EntityAlreadyExistsException", "Role with name Reader already exists.", iam.create_role, {"RoleName": "Reader", "AssumeRolePolicyDocument": trust()}),
        ("NoSuchEntityException", nothing("role", "writer"), iam.get_role, {"RoleName": "writer"}),
        ("NoSuchEntityException", nothing("role", "writer"), iam.delete_role, {"RoleName": "writer"}),
        ("NoSuchEntityException", nothing("role", "writer"), iam.update_role, {"RoleName": "writer"}),
        ("NoSuchEntityException", nothing("role", "writer"), iam.update_assume_role_policy, {"RoleName": "writer", "PolicyDocument": trust()}),
        ("NoSuchEntityException", nothing("role", "writer"), iam.list_role_tags, {"RoleName": "writer"}),
        ("MalformedPolicyDocumentException", "", iam.create_role, {"RoleName": "writer", "AssumeRolePolicyDocument": "{no json"}),
        ("MalformedPolicyDocumentException", "", iam.update_assume_role_policy, {"RoleName": "reader", "PolicyDocument": policy()}),
        ("MalformedPolicyDocumentException", "Invalid principal in policy", iam.create_role, {"RoleName": "w", "AssumeRolePolicyDocument": trust().replace('{"Service": "lambda.amazonaws.com"}', json.dumps({"AWS": ARN + "user/nobody"}))}),
        ("ValidationError", "at 'maxSessionDuration'", iam.create_role, {"RoleName": "w", "AssumeRolePolicyDocument": trust(), "MaxSessionDuration": 43201}),
        ("DeleteConflictException", "Cannot delete entity, must detach all policies first.", iam.delete_role, {"RoleName": "reader"}),
    ])
    iam.detach_role_policy(RoleName="reader", PolicyArn=BASIC)
    iam.delete_role(RoleName="reader")


@check
def service_linked_roles():
    made = iam.create_service_linked_role(AWSServiceName="elasticbeanstalk.amazonaws.com")["Role"]
    assert made["Path"] == "/aws-service-role/elasticbeanstalk.amazonaws.com/", made
    refused("InvalidInputException", "has been taken in this account", iam.create_service_linked_role, AWSServiceName="elasticbeanstalk.amazonaws.com")
    refused("InvalidInputException", "", iam.create_service_linked_role, AWSServiceName="no.service")
    task = iam.delete_service_linked_role(RoleName=made["RoleName"])["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    refused("NoSuchEntityException", "", iam.delete_service_linked_role, RoleName=made["RoleName"])


@check
def inline_and_attached_policies():
    """The same operations for users, groups and roles: how each kind is made, and the calls by its name."""
    kinds = {
        "user": (lambda name: iam.create_user(UserName=name), "UserName", iam.put_user_policy, iam.get_user_policy, iam.delete_user_policy, iam.attach_user_policy, iam.detach_user_policy),
        "group": (lambda name: iam.create_group(GroupName=name), "GroupName", iam.put_group_policy, iam.get_group_policy, iam.delete_group_policy, iam.attach_group_policy, iam.detach_group_policy),
        "role": (lambda name: iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust()), "RoleName", iam.put_role_policy, iam.get_role_policy, iam.delete_role_policy, iam.attach_role_policy, iam.detach_role_policy),
    }
    lists = {
        "user": ("list_user_policies", "list_attached_user_policies"),
        "group": ("list_group_policies", "list_attached_group_policies"),
        "role": ("list_role_policies", "list_attached_role_policies"),
    }
    more = iam.create_policy(PolicyName="more", PolicyDocument=policy())["Policy"]["Arn"]
    for kind, (make, key, put, get, delete, attach, detach) in kinds.items():
        make("holder")
        who = {key: "holder"}
        put(**who, PolicyName="a", PolicyDocument=policy("s3:*"))
        put(**who, PolicyName="b", PolicyDocument=policy())
        assert get(**who, PolicyName="a")["PolicyDocument"]["Statement"][0]["Action"] == "s3:*"
        inline, attached = lists[kind]
        assert paged(iam, inline, "PolicyNames", 1, **who) == ["a", "b"]
        attach(**who, PolicyArn=BASIC)
        attach(**who, PolicyArn=more)
        found = paged(iam, attached, "AttachedPolicies", 1, **who)
        assert sorted(one["PolicyName"] for one in found) == ["AWSLambdaBasicExecutionRole", "more"], found
        nobody = {key: "nobody"}
        all_refused([
            ("NoSuchEntityException", f"The {kind} policy with name z cannot be found.", get, {**who, "PolicyName": "z"}),
            ("NoSuchEntityException", f"The {kind} policy with name z cannot be found.", delete, {**who, "PolicyName": "z"}),
            ("NoSuchEntityException", nothing(kind, "nobody"), put, {**nobody, "PolicyName": "z", "PolicyDocument": policy()}),
            ("NoSuchEntityException", nothing(kind, "nobody"), attach, {**nobody, "PolicyArn": BASIC}),
            ("NoSuchEntityException", "does not exist or is not attachable", attach, {**who, "PolicyArn": ARN + "policy/none"}),
            ("NoSuchEntityException", "was not found", detach, {**who, "PolicyArn": ARN + "policy/none"}),
            ("MalformedPolicyDocumentException", "", put, {**who, "PolicyName": "z", "PolicyDocument": "{}"}),
            ("LimitExceededException", "Maximum policy size of", put, {**who, "PolicyName": "z", "PolicyDocument": policy([f"s3:Get{index:0100}" for index in range(110)])}),
        ])
    entities = iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=more).build_full_result()
    assert [entities["PolicyUsers"][0]["UserName"], entities["PolicyGroups"][0]["GroupName"], entities["PolicyRoles"][0]["RoleName"]] == ["holder"] * 3, entities
    for kind, (make, key, put, get, delete, attach, detach) in kinds.items():
        who = {key: "holder"}
        detach(**who, PolicyArn=more)
        delete(**who, PolicyName="a")


@check
def managed_policies():
    made = iam.create_policy(PolicyName="read", Path="/team/", Description="reads", PolicyDocument=policy(), Tags=[{"Key": "a", "Value": "b"}])["Policy"]
    arn = made["Arn"]
    has(made, Arn=ARN + "policy/team/read", DefaultVersionId="v1", AttachmentCount=0, IsAttachable=True)
    iam.get_waiter("policy_exists").wait(PolicyArn=arn, WaiterConfig=WAIT)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Description"] == "reads"
    second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:*"), SetAsDefault=True)["PolicyVersion"]
    has(second, VersionId="v2", IsDefaultVersion=True)
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"]["Statement"][0]["Action"] == "s3:*"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    assert [one["VersionId"] for one in paged(iam, "list_policy_versions", "Versions", 1, PolicyArn=arn)] == ["v2", "v1"]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
    assert paged(iam, "list_policy_tags", "Tags", 1, PolicyArn=arn) == [{"Key": "c", "Value": "d"}]
    assert [one["Arn"] for one in paged(iam, "list_policies", "Policies", 2, Scope="Local", PathPrefix="/team/")] == [arn]
    assert any(one["Arn"] == BASIC for one in paged(iam, "list_policies", "Policies", 5, Scope="AWS"))
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy())
    gone = ARN + "policy/none"
    all_refused([
        ("EntityAlreadyExistsException", "A policy called read already exists.", iam.create_policy, {"PolicyName": "read", "PolicyDocument": policy()}),
        ("MalformedPolicyDocumentException", "", iam.create_policy, {"PolicyName": "z", "PolicyDocument": '{"Version": "2012-10-17"}'}),
        ("LimitExceededException", "A managed policy can have up to 5 versions.", iam.create_policy_version, {"PolicyArn": arn, "PolicyDocument": policy()}),
        ("LimitExceededException", "PolicySize: 6144", iam.create_policy, {"PolicyName": "z", "PolicyDocument": policy([f"s3:Get{index:0100}" for index in range(70)])}),
        ("NoSuchEntityException", f"Policy {gone} was not found.", iam.get_policy, {"PolicyArn": gone}),
        ("NoSuchEntityException", "", iam.get_policy_version, {"PolicyArn": arn, "VersionId": "v9"}),
        ("NoSuchEntityException", "", iam.delete_policy_version, {"PolicyArn": arn, "VersionId": "v9"}),
        ("NoSuchEntityException", "", iam.set_default_policy_version, {"PolicyArn": arn, "VersionId": "v9"}),
        ("NoSuchEntityException", "", iam.list_entities_for_policy, {"PolicyArn": gone}),
        ("DeleteConflictException", "Cannot delete the default version of a policy.", iam.delete_policy_version, {"PolicyArn": arn, "VersionId": "v1"}),
        ("DeleteConflictException", "This policy has more than one version.", iam.delete_policy, {"PolicyArn": arn}),
        ("AccessDenied", "Policy is outside your own account.", iam.delete_policy, {"PolicyArn": BASIC}),
    ])
    for version in ("v2", "v3", "v4", "v5"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)


@check
def instance_profiles():
    made = iam.create_instance_profile(InstanceProfileName="profile", Tags=[{"Key": "a", "Value": "b"}])["InstanceProfile"]
    has(made, Arn=ARN + "instance-profile/profile", Roles=[])
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName="profile", WaiterConfig=WAIT)
    iam.create_role(RoleName="machine", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    iam.add_role_to_instance_profile(InstanceProfileName="profile", RoleName="machine")
    got = iam.get_instance_profile(InstanceProfileName="profile")["InstanceProfile"]
    assert got["Roles"][0]["RoleName"] == "machine", got
    assert paged(iam, "list_instance_profiles", "InstanceProfiles", 1)[0]["Arn"] == made["Arn"]
    assert paged(iam, "list_instance_profiles_for_role", "InstanceProfiles", 1, RoleName="machine")[0]["Arn"] == made["Arn"]
    iam.tag_instance_profile(InstanceProfileName="profile", Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_instance_profile(InstanceProfileName="profile", TagKeys=["a"])
    assert paged(iam, "list_instance_profile_tags", "Tags", 1, InstanceProfileName="profile") == [{"Key": "c", "Value": "d"}]
    all_refused([
        ("EntityAlreadyExistsException", "Instance Profile profile already exists.", iam.create_instance_profile, {"InstanceProfileName": "profile"}),
        ("LimitExceededException", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", iam.add_role_to_instance_profile, {"InstanceProfileName": "profile", "RoleName": "lambda"}),
        ("NoSuchEntityException", "Instance Profile none cannot be found.", iam.get_instance_profile, {"InstanceProfileName": "none"}),
        ("NoSuchEntityException", "", iam.add_role_to_instance_profile, {"InstanceProfileName": "profile", "RoleName": "nobody"}),
        ("DeleteConflictException", "must remove roles from instance profile first", iam.delete_instance_profile, {"InstanceProfileName": "profile"}),
        ("DeleteConflictException", "must remove roles from instance profile first", iam.delete_role, {"RoleName": "machine"}),
    ])
    iam.remove_role_from_instance_profile(InstanceProfileName="profile", RoleName="machine")
    refused("NoSuchEntityException", "", iam.remove_role_from_instance_profile, InstanceProfileName="profile", RoleName="machine")
    iam.delete_instance_profile(InstanceProfileName="profile")


@check
def identity_providers():
    url = "https://token.example.com"
    arn = iam.create_open_id_connect_provider(Url=url, ClientIDList=["one"], ThumbprintList=["a" * 40])["OpenIDConnectProviderArn"]
    assert arn == ARN + "oidc-provider/token.example.com", arn
    who = {"OpenIDConnectProviderArn": arn}
    iam.add_client_id_to_open_id_connect_provider(**who, ClientID="two")
    iam.remove_client_id_from_open_id_connect_provider(**who, ClientID="one")
    iam.update_open_id_connect_provider_thumbprint(**who, ThumbprintList=["b" * 40])
    has(iam.get_open_id_connect_provider(**who), Url="token.example.com", ClientIDList=["two"], ThumbprintList=["b" * 40])
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    iam.tag_open_id_connect_provider(**who, Tags=[{"Key": "c", "Value": "d"}])
    assert paged(iam, "list_open_id_connect_provider_tags", "Tags", 1, **who) == [{"Key": "c", "Value": "d"}]
    iam.untag_open_id_connect_provider(**who, TagKeys=["c"])
    gone = {"OpenIDConnectProviderArn": arn + "/gone"}
    all_refused([
        ("EntityAlreadyExistsException", "Provider with url https://token.example.com already exists.", iam.create_open_id_connect_provider, {"Url": url}),
        ("InvalidInputException", "Thumbprint list must contain fewer than 5 entries.", iam.create_open_id_connect_provider, {"Url": url + "/b", "ThumbprintList": ["a" * 40] * 6}),
        ("ValidationError", "Invalid Open ID Connect Provider URL", iam.create_open_id_connect_provider, {"Url": "ftp://example.com"}),
        ("NoSuchEntityException", "OpenIDConnect Provider not found for arn", iam.get_open_id_connect_provider, gone),
        ("NoSuchEntityException", "OpenIDConnect Provider not found for arn", iam.delete_open_id_connect_provider, gone),
    ])
    iam.delete_open_id_connect_provider(**who)


@check
def simulator():
    document = policy("s3:GetObject", Condition={"StringEquals": {"aws:RequestedRegion": "us-east-1"}})
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[document])["ContextKeyNames"] == ["aws:RequestedRegion"]
    context = [{"ContextKeyName": "aws:RequestedRegion", "ContextKeyValues": ["us-east-1"], "ContextKeyType": "string"}]
    found = paged(iam, "simulate_custom_policy", "EvaluationResults", 10, PolicyInputList=[document], ActionNames=["s3:GetObject", "s3:PutObject"], ContextEntries=context)
    assert [one["EvalDecision"] for one in found] == ["allowed", "implicitDeny"], found
    arn = iam.create_user(UserName="simulated")["User"]["Arn"]
    iam.put_user_policy(UserName="simulated", PolicyName="p", PolicyDocument=document)
    assert iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"] == ["aws:RequestedRegion"]
    found = paged(iam, "simulate_principal_policy", "EvaluationResults", 10, PolicySourceArn=arn, ActionNames=["s3:GetObject"])
    assert found[0]["EvalDecision"] == "implicitDeny" and found[0]["MissingContextValues"] == ["aws:RequestedRegion"], found
    all_refused([
        ("NoSuchEntityException", "", iam.simulate_principal_policy, {"PolicySourceArn": arn + "x", "ActionNames": ["s3:GetObject"]}),
        ("NoSuchEntityException", "", iam.get_context_keys_for_principal_policy, {"PolicySourceArn": arn + "x"}),
    ])
    refused("InvalidInputException", "Syntax errors in policy.", iam.simulate_custom_policy, PolicyInputList=["{}"], ActionNames=["s3:GetObject"])


@check
def account():
    summary = iam.get_account_summary()["SummaryMap"]
    has(summary, AccountMFAEnabled=0, AccessKeysPerUserQuota=2, VersionsPerPolicyQuota=5)
    assert summary["Users"] == len(paged(iam, "list_users", "Users", 100)), summary
    pages = iam.get_paginator("get_account_authorization_details").paginate(Filter=["User", "Role"], PaginationConfig={"PageSize": 3})
    details = pages.build_full_result()
    assert len(details["UserDetailList"]) == summary["Users"] and not details["GroupDetailList"], details
    lambda_ = next(one for one in details["RoleDetailList"] if one["RoleName"] == "lambda")
    assert lambda_["AttachedManagedPolicies"][0]["PolicyArn"] == BASIC and isinstance(lambda_["AssumeRolePolicyDocument"], dict), lambda_


run()
