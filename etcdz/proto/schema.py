"""Every protobuf message that etcd 3.5 (and what 3.6 and 3.7 added) puts on a wire or a disk, as data.

Grammar, one item a line:

    package NAME                      all names below belong to it
    enum NAME: WORD=NUMBER ...        dots nest it in a message
    message NAME | message2 NAME      proto3 | proto2 (fields have presence)
      NUMBER NAME TYPE [repeated] [oneof=NAME]

A table rather than generated modules: it needs no compiler at build time, and `etcdz.proto` registers it in a
private pool, so that a process which also imports another client's stubs of the same names does not clash.
NB: etcd marks most proto2 fields non-nullable: it writes them even when they are zero. upb writes what was set,
so whoever encodes a proto2 message for a disk or a peer sets every such field.
NB: User's roles are strings in etcd. Bytes they are here, so that they can be set to what is not UTF-8: text.py.
Source: etcd's api/*.proto, raft's raftpb.
"""

SCHEMA = """\
package mvccpb
enum Event.EventType: PUT=0 DELETE=1
message KeyValue
  1 key bytes
  2 create_revision int64
  3 mod_revision int64
  4 version int64
  5 value bytes
  6 lease int64
message Event
  1 type EventType
  2 kv KeyValue
  3 prev_kv KeyValue

package authpb
enum Permission.Type: READ=0 WRITE=1 READWRITE=2
message UserAddOptions
  1 no_password bool
message User
  1 name bytes
  2 password bytes
  3 roles bytes repeated
  4 options UserAddOptions
message Permission
  1 permType Type
  2 key bytes
  3 range_end bytes
message Role
  1 name bytes
  2 keyPermission Permission repeated

package membershippb
message RaftAttributes
  1 peer_urls string repeated
  2 is_learner bool
message Attributes
  1 name string
  2 client_urls string repeated
message Member
  1 ID uint64
  2 raft_attributes RaftAttributes
  3 member_attributes Attributes
message ClusterVersionSetRequest
  1 ver string
message ClusterMemberAttrSetRequest
  1 member_ID uint64
  2 member_attributes Attributes
message DowngradeInfoSetRequest
  1 enabled bool
  2 ver string

package etcdserverpb
enum RangeRequest.SortOrder: NONE=0 ASCEND=1 DESCEND=2
enum RangeRequest.SortTarget: KEY=0 VERSION=1 CREATE=2 MOD=3 VALUE=4
enum Compare.CompareResult: EQUAL=0 GREATER=1 LESS=2 NOT_EQUAL=3
enum Compare.CompareTarget: VERSION=0 CREATE=1 MOD=2 VALUE=3 LEASE=4
enum WatchCreateRequest.FilterType: NOPUT=0 NODELETE=1
enum AlarmType: NONE=0 NOSPACE=1 CORRUPT=2
enum AlarmRequest.AlarmAction: GET=0 ACTIVATE=1 DEACTIVATE=2
enum DowngradeRequest.DowngradeAction: VALIDATE=0 ENABLE=1 CANCEL=2
message ResponseHeader
  1 cluster_id uint64
  2 member_id uint64
  3 revision int64
  4 raft_term uint64
message RangeRequest
  1 key bytes
  2 range_end bytes
  3 limit int64
  4 revision int64
  5 sort_order SortOrder
  6 sort_target SortTarget
  7 serializable bool
  8 keys_only bool
  9 count_only bool
  10 min_mod_revision int64
  11 max_mod_revision int64
  12 min_create_revision int64
  13 max_create_revision int64
message RangeResponse
  1 header ResponseHeader
  2 kvs mvccpb.KeyValue repeated
  3 more bool
  4 count int64
message PutRequest
  1 key bytes
  2 value bytes
  3 lease int64
  4 prev_kv bool
  5 ignore_value bool
  6 ignore_lease bool
message PutResponse
  1 header ResponseHeader
  2 prev_kv mvccpb.KeyValue
message DeleteRangeRequest
  1 key bytes
  2 range_end bytes
  3 prev_kv bool
message DeleteRangeResponse
  1 header ResponseHeader
  2 deleted int64
  3 prev_kvs mvccpb.KeyValue repeated
message RequestOp
  1 request_range RangeRequest oneof=request
  2 request_put PutRequest oneof=request
  3 request_delete_range DeleteRangeRequest oneof=request
  4 request_txn TxnRequest oneof=request
message ResponseOp
  1 response_range RangeResponse oneof=response
  2 response_put PutResponse oneof=response
  3 response_delete_range DeleteRangeResponse oneof=response
  4 response_txn TxnResponse oneof=response
message Compare
  1 result CompareResult
  2 target CompareTarget
  3 key bytes
  4 version int64 oneof=target_union
  5 create_revision int64 oneof=target_union
  6 mod_revision int64 oneof=target_union
  7 value bytes oneof=target_union
  8 lease int64 oneof=target_union
  64 range_end bytes
message TxnRequest
  1 compare Compare repeated
  2 success RequestOp repeated
  3 failure RequestOp repeated
message TxnResponse
  1 header ResponseHeader
  2 succeeded bool
  3 responses ResponseOp repeated
message CompactionRequest
  1 revision int64
  2 physical bool
message CompactionResponse
  1 header ResponseHeader
message HashKVRequest
  1 revision int64
message HashKVResponse
  1 header ResponseHeader
  2 hash uint32
  3 compact_revision int64
  4 hash_revision int64
message HashResponse
  1 header ResponseHeader
  2 hash uint32
message SnapshotResponse
  1 header ResponseHeader
  2 remaining_bytes uint64
  3 blob bytes
  4 version string
message WatchRequest
  1 create_request WatchCreateRequest oneof=request_union
  2 cancel_request WatchCancelRequest oneof=request_union
  3 progress_request WatchProgressRequest oneof=request_union
message WatchCreateRequest
  1 key bytes
  2 range_end bytes
  3 start_revision int64
  4 progress_notify bool
  5 filters FilterType repeated
  6 prev_kv bool
  7 watch_id int64
  8 fragment bool
message WatchCancelRequest
  1 watch_id int64
message WatchResponse
  1 header ResponseHeader
  2 watch_id int64
  3 created bool
  4 canceled bool
  5 compact_revision int64
  6 cancel_reason string
  7 fragment bool
  11 events mvccpb.Event repeated
message LeaseGrantRequest
  1 TTL int64
  2 ID int64
message LeaseGrantResponse
  1 header ResponseHeader
  2 ID int64
  3 TTL int64
  4 error string
message LeaseRevokeRequest
  1 ID int64
message LeaseRevokeResponse
  1 header ResponseHeader
message LeaseCheckpoint
  1 ID int64
  2 remaining_TTL int64
message LeaseCheckpointRequest
  1 checkpoints LeaseCheckpoint repeated
message LeaseCheckpointResponse
  1 header ResponseHeader
message LeaseKeepAliveRequest
  1 ID int64
message LeaseKeepAliveResponse
  1 header ResponseHeader
  2 ID int64
  3 TTL int64
message LeaseTimeToLiveRequest
  1 ID int64
  2 keys bool
message LeaseTimeToLiveResponse
  1 header ResponseHeader
  2 ID int64
  3 TTL int64
  4 grantedTTL int64
  5 keys bytes repeated
message LeaseStatus
  1 ID int64
message LeaseLeasesResponse
  1 header ResponseHeader
  2 leases LeaseStatus repeated
message Member
  1 ID uint64
  2 name string
  3 peerURLs string repeated
  4 clientURLs string repeated
  5 isLearner bool
message MemberAddRequest
  1 peerURLs string repeated
  2 isLearner bool
message MemberAddResponse
  1 header ResponseHeader
  2 member Member
  3 members Member repeated
message MemberRemoveRequest
  1 ID uint64
message MemberRemoveResponse
  1 header ResponseHeader
  2 members Member repeated
message MemberUpdateRequest
  1 ID uint64
  2 peerURLs string repeated
message MemberUpdateResponse
  1 header ResponseHeader
  2 members Member repeated
message MemberListRequest
  1 linearizable bool
message MemberListResponse
  1 header ResponseHeader
  2 members Member repeated
message MemberPromoteRequest
  1 ID uint64
message MemberPromoteResponse
  1 header ResponseHeader
  2 members Member repeated
message DefragmentResponse
  1 header ResponseHeader
message MoveLeaderRequest
  1 targetID uint64
message MoveLeaderResponse
  1 header ResponseHeader
message AlarmRequest
  1 action AlarmAction
  2 memberID uint64
  3 alarm AlarmType
message AlarmMember
  1 memberID uint64
  2 alarm AlarmType
message AlarmResponse
  1 header ResponseHeader
  2 alarms AlarmMember repeated
message DowngradeRequest
  1 action DowngradeAction
  2 version string
message DowngradeResponse
  1 header ResponseHeader
  2 version string
message DowngradeVersionTestRequest
  1 ver string
message StatusResponse
  1 header ResponseHeader
  2 version string
  3 dbSize int64
  4 leader uint64
  5 raftIndex uint64
  6 raftTerm uint64
  7 raftAppliedIndex uint64
  8 errors string repeated
  9 dbSizeInUse int64
  10 isLearner bool
  11 storageVersion string
  12 dbSizeQuota int64
  13 downgradeInfo DowngradeInfo
message DowngradeInfo
  1 enabled bool
  2 targetVersion string
message AuthenticateRequest
  1 name string
  2 password string
message AuthUserAddRequest
  1 name string
  2 password string
  3 options authpb.UserAddOptions
  4 hashedPassword string
message AuthUserGetRequest
  1 name string
message AuthUserDeleteRequest
  1 name string
message AuthUserChangePasswordRequest
  1 name string
  2 password string
  3 hashedPassword string
message AuthUserGrantRoleRequest
  1 user string
  2 role string
message AuthUserRevokeRoleRequest
  1 name string
  2 role string
message AuthRoleAddRequest
  1 name string
message AuthRoleGetRequest
  1 role string
message AuthRoleDeleteRequest
  1 role string
message AuthRoleGrantPermissionRequest
  1 name string
  2 perm authpb.Permission
message AuthRoleRevokePermissionRequest
  1 role string
  2 key bytes
  3 range_end bytes
message AuthEnableResponse
  1 header ResponseHeader
message AuthDisableResponse
  1 header ResponseHeader
message AuthStatusResponse
  1 header ResponseHeader
  2 enabled bool
  3 authRevision uint64
message AuthenticateResponse
  1 header ResponseHeader
  2 token string
message AuthUserAddResponse
  1 header ResponseHeader
message AuthUserGetResponse
  1 header ResponseHeader
  2 roles string repeated
message AuthUserDeleteResponse
  1 header ResponseHeader
message AuthUserChangePasswordResponse
  1 header ResponseHeader
message AuthUserGrantRoleResponse
  1 header ResponseHeader
message AuthUserRevokeRoleResponse
  1 header ResponseHeader
message AuthRoleAddResponse
  1 header ResponseHeader
message AuthRoleGetResponse
  1 header ResponseHeader
  2 perm authpb.Permission repeated
message AuthRoleListResponse
  1 header ResponseHeader
  2 roles string repeated
message AuthUserListResponse
  1 header ResponseHeader
  2 users string repeated
message AuthRoleDeleteResponse
  1 header ResponseHeader
message AuthRoleGrantPermissionResponse
  1 header ResponseHeader
message AuthRoleRevokePermissionResponse
  1 header ResponseHeader
message RangeStreamResponse
  1 range_response RangeResponse
message RequestHeader
  1 ID uint64
  2 username string
  3 auth_revision uint64
message InternalRaftRequest
  1 ID uint64
  3 range RangeRequest
  4 put PutRequest
  5 delete_range DeleteRangeRequest
  6 txn TxnRequest
  7 compaction CompactionRequest
  8 lease_grant LeaseGrantRequest
  9 lease_revoke LeaseRevokeRequest
  10 alarm AlarmRequest
  11 lease_checkpoint LeaseCheckpointRequest
  100 header RequestHeader
  1000 auth_enable AuthEnableRequest
  1011 auth_disable AuthDisableRequest
  1012 authenticate InternalAuthenticateRequest
  1013 auth_status AuthStatusRequest
  1100 auth_user_add AuthUserAddRequest
  1101 auth_user_delete AuthUserDeleteRequest
  1102 auth_user_get AuthUserGetRequest
  1103 auth_user_change_password AuthUserChangePasswordRequest
  1104 auth_user_grant_role AuthUserGrantRoleRequest
  1105 auth_user_revoke_role AuthUserRevokeRoleRequest
  1106 auth_user_list AuthUserListRequest
  1107 auth_role_list AuthRoleListRequest
  1200 auth_role_add AuthRoleAddRequest
  1201 auth_role_delete AuthRoleDeleteRequest
  1202 auth_role_get AuthRoleGetRequest
  1203 auth_role_grant_permission AuthRoleGrantPermissionRequest
  1204 auth_role_revoke_permission AuthRoleRevokePermissionRequest
  1300 cluster_version_set membershippb.ClusterVersionSetRequest
  1301 cluster_member_attr_set membershippb.ClusterMemberAttrSetRequest
  1302 downgrade_info_set membershippb.DowngradeInfoSetRequest
  9900 downgrade_version_test DowngradeVersionTestRequest
message InternalAuthenticateRequest
  1 name string
  2 password string
  3 simple_token string
message2 Request
  1 ID uint64
  2 Method string
  3 Path string
  4 Val string
  5 Dir bool
  6 PrevValue string
  7 PrevIndex uint64
  8 PrevExist bool
  9 Expiration int64
  10 Wait bool
  11 Since uint64
  12 Recursive bool
  13 Sorted bool
  14 Quorum bool
  15 Time int64
  16 Stream bool
  17 Refresh bool
message2 Metadata
  1 NodeID uint64
  2 ClusterID uint64
message LeaseLeasesRequest
message StatusRequest
message DefragmentRequest
message HashRequest
message SnapshotRequest
message AuthEnableRequest
message AuthDisableRequest
message AuthStatusRequest
message AuthUserListRequest
message AuthRoleListRequest
message WatchProgressRequest

package raftpb
enum EntryType: EntryNormal=0 EntryConfChange=1 EntryConfChangeV2=2
enum MessageType: MsgHup=0 MsgBeat=1 MsgProp=2 MsgApp=3 MsgAppResp=4 MsgVote=5 MsgVoteResp=6 MsgSnap=7 MsgHeartbeat=8 MsgHeartbeatResp=9 MsgUnreachable=10 MsgSnapStatus=11 MsgCheckQuorum=12 MsgTransferLeader=13 MsgTimeoutNow=14 MsgReadIndex=15 MsgReadIndexResp=16 MsgPreVote=17 MsgPreVoteResp=18
enum ConfChangeTransition: ConfChangeTransitionAuto=0 ConfChangeTransitionJointImplicit=1 ConfChangeTransitionJointExplicit=2
enum ConfChangeType: ConfChangeAddNode=0 ConfChangeRemoveNode=1 ConfChangeUpdateNode=2 ConfChangeAddLearnerNode=3
message2 Entry
  1 Type EntryType
  2 Term uint64
  3 Index uint64
  4 Data bytes
message2 SnapshotMetadata
  1 conf_state ConfState
  2 index uint64
  3 term uint64
message2 Snapshot
  1 data bytes
  2 metadata SnapshotMetadata
message2 Message
  1 type MessageType
  2 to uint64
  3 from uint64
  4 term uint64
  5 logTerm uint64
  6 index uint64
  7 entries Entry repeated
  8 commit uint64
  9 snapshot Snapshot
  10 reject bool
  11 rejectHint uint64
  12 context bytes
message2 HardState
  1 term uint64
  2 vote uint64
  3 commit uint64
message2 ConfState
  1 voters uint64 repeated
  2 learners uint64 repeated
  3 voters_outgoing uint64 repeated
  4 learners_next uint64 repeated
  5 auto_leave bool
message2 ConfChange
  1 id uint64
  2 type ConfChangeType
  3 node_id uint64
  4 context bytes
message2 ConfChangeSingle
  1 type ConfChangeType
  2 node_id uint64
message2 ConfChangeV2
  1 transition ConfChangeTransition
  2 changes ConfChangeSingle repeated
  3 context bytes

package walpb
message2 Record
  1 type int64
  2 crc uint32
  3 data bytes
message2 Snapshot
  1 index uint64
  2 term uint64
  3 conf_state raftpb.ConfState

package snappb
message2 snapshot
  1 crc uint32
  2 data bytes

package leasepb
message Lease
  1 ID int64
  2 TTL int64
  3 RemainingTTL int64
message LeaseInternalRequest
  1 LeaseTimeToLiveRequest etcdserverpb.LeaseTimeToLiveRequest
message LeaseInternalResponse
  1 LeaseTimeToLiveResponse etcdserverpb.LeaseTimeToLiveResponse

package v3electionpb
message CampaignRequest
  1 name bytes
  2 lease int64
  3 value bytes
message CampaignResponse
  1 header etcdserverpb.ResponseHeader
  2 leader LeaderKey
message LeaderKey
  1 name bytes
  2 key bytes
  3 rev int64
  4 lease int64
message LeaderRequest
  1 name bytes
message LeaderResponse
  1 header etcdserverpb.ResponseHeader
  2 kv mvccpb.KeyValue
message ResignRequest
  1 leader LeaderKey
message ResignResponse
  1 header etcdserverpb.ResponseHeader
message ProclaimRequest
  1 leader LeaderKey
  2 value bytes
message ProclaimResponse
  1 header etcdserverpb.ResponseHeader

package v3lockpb
message LockRequest
  1 name bytes
  2 lease int64
message LockResponse
  1 header etcdserverpb.ResponseHeader
  2 key bytes
message UnlockRequest
  1 key bytes
message UnlockResponse
  1 header etcdserverpb.ResponseHeader
"""
