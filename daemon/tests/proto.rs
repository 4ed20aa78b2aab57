//! `proto/` against an independent implementation of the same interface: the crate `k8s-cri`,
//! whose Kubernetes is an older one. All that it has must be here just so, and what each side
//! encodes the other must read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_cri::v1 as theirs;
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey,
    MessageDescriptor, MethodDescriptor, Value,
};
use unikiln_daemon::proto as ours;

const PACKAGE: &str = "runtime.v1";
const SERVICES: [&str; 2] = ["runtime.v1.ImageService", "runtime.v1.RuntimeService"];
/// Different values for each message.
const ROUNDS: usize = 8;

fn our_pool() -> DescriptorPool {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    pool(&directory, &["image.proto", "runtime.proto"])
}

fn their_pool() -> DescriptorPool {
    pool(&their_directory(), &["v1.proto"])
}

fn pool(directory: &Path, files: &[&str]) -> DescriptorPool {
    let set = protox::compile(files, [directory]).expect("it compiles");
    DescriptorPool::from_file_descriptor_set(set).expect("it is whole")
}

/// Where cargo has the sources of `k8s-cri`.
fn their_directory() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version=1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("a list");
    let package = packages.iter().find(|package| package["name"] == "k8s-cri");
    let manifest = package.expect("it is a dependency")["manifest_path"].as_str();
    let manifest = Path::new(manifest.expect("a path"));
    manifest.parent().expect("a directory").join("proto")
}

/// All of a field that matters on the wire, and to whoever names it.
fn field(field: &FieldDescriptor) -> String {
    let proto = field.field_descriptor_proto();
    let options = proto.options.clone().unwrap_or_default();
    format!(
        "{} {} = {}: {:?} packed={} presence={} deprecated={} json={}",
        field.parent_message().full_name(),
        field.name(),
        field.number(),
        (field.kind(), field.cardinality()),
        field.is_packed(),
        field.supports_presence(),
        options.deprecated(),
        field.json_name(),
    )
}

fn fields(message: &MessageDescriptor) -> BTreeSet<String> {
    message.fields().map(|one| field(&one)).collect()
}

fn values(list: &EnumDescriptor) -> BTreeSet<String> {
    let value = |value: prost_reflect::EnumValueDescriptor| {
        format!("{} {} = {}", list.full_name(), value.name(), value.number())
    };
    list.values().map(value).collect()
}

fn method(method: &MethodDescriptor) -> String {
    format!(
        "{}({} {}) -> {} {}",
        method.full_name(),
        method.input().full_name(),
        method.is_client_streaming(),
        method.output().full_name(),
        method.is_server_streaming()
    )
}

fn methods(pool: &DescriptorPool) -> BTreeSet<String> {
    let services = pool.services();
    services
        .flat_map(|service| {
            service
                .methods()
                .map(|one| method(&one))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn all_that_they_have_is_ours_just_so() {
    let (ours, theirs) = (our_pool(), their_pool());
    let mut missing = Vec::new();
    let mut count = 0;
    let mut compare = |ours: BTreeSet<String>, theirs: BTreeSet<String>| {
        missing.extend(theirs.difference(&ours).cloned());
        count += theirs.len();
    };
    for message in theirs.all_messages() {
        let name = message.full_name();
        let own = ours.get_message_by_name(name);
        let own = own.unwrap_or_else(|| panic!("no message {name}"));
        compare(fields(&own), fields(&message));
        assert_eq!(own.is_map_entry(), message.is_map_entry(), "{name}");
        assert_eq!(own.oneofs().len(), message.oneofs().len(), "{name}");
    }
    for list in theirs.all_enums() {
        let name = list.full_name();
        let own = ours.get_enum_by_name(name);
        let own = own.unwrap_or_else(|| panic!("no enumeration {name}"));
        compare(values(&own), values(&list));
    }
    compare(methods(&ours), methods(&theirs));
    assert_eq!(missing, OTHER);
    assert!(count > 500, "{count} are not all of CRI");
    let names = ours.services().map(|one| one.full_name().to_owned());
    assert_eq!(names.collect::<Vec<_>>(), SERVICES);
}

/// What came after their Kubernetes; a field that is written by mistake is not among these.
#[test]
fn what_we_have_beside_it_is_known() {
    let (ours, theirs) = (our_pool(), their_pool());
    let mut found = BTreeSet::new();
    for message in ours.all_messages() {
        let short = message
            .full_name()
            .trim_start_matches("runtime.v1.")
            .to_owned();
        match theirs.get_message_by_name(message.full_name()) {
            None => _ = found.insert(short),
            Some(old) => {
                let new = message
                    .fields()
                    .filter(|one| old.get_field(one.number()).is_none());
                found.extend(new.map(|one| format!("{short}.{}", one.name())));
            }
        }
    }
    let known: BTreeSet<_> = NEWER.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(found, known);
    assert!(
        ours.all_messages()
            .all(|message| message.package_name() == PACKAGE)
    );
}

/// What Kubernetes changed: a variable's value became bytes, which are written the same way.
const OTHER: [&str; 1] = ["runtime.v1.KeyValue value = 2: (string, Optional) \
                           packed=false presence=false deprecated=false json=value"];

/// Messages and fields of Kubernetes 1.36 that theirs does not have.
const NEWER: [&str; 26] = [
    "ContainerConfig.stop_signal",
    "ContainerStats.io",
    "ContainerStatus.stop_signal",
    "CpuUsage.psi",
    "ImageSpec.image_ref",
    "IoUsage",
    "LinuxPodSandboxStats.io",
    "MemoryUsage.psi",
    "Mount.image_sub_path",
    "PsiData",
    "PsiStats",
    "RuntimeFeatures.user_namespaces_host_network",
    "StreamContainerStatsRequest",
    "StreamContainerStatsResponse",
    "StreamContainersRequest",
    "StreamContainersResponse",
    "StreamImagesRequest",
    "StreamImagesResponse",
    "StreamPodSandboxMetricsRequest",
    "StreamPodSandboxMetricsResponse",
    "StreamPodSandboxStatsRequest",
    "StreamPodSandboxStatsResponse",
    "StreamPodSandboxesRequest",
    "StreamPodSandboxesResponse",
    "UpdatePodSandboxResourcesRequest",
    "UpdatePodSandboxResourcesResponse",
];

/// Numbers by a fixed seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Short and long, and not all of ASCII.
    fn text(&mut self) -> String {
        let len = [1, 7, 40, 300][(self.next() % 4) as usize];
        let letters = ['a', 'Z', '0', '/', '"', '\u{e4}', '\u{2192}', '\0'];
        (0..len)
            .map(|_| letters[(self.next() % 8) as usize])
            .collect()
    }

    /// A value that is not the default one, which would not be sent.
    fn value(&mut self, kind: &Kind) -> Value {
        let number = self.next().max(1) >> (self.next() % 60);
        let number = number.max(1);
        match kind {
            Kind::Bool => Value::Bool(true),
            Kind::Int32 => Value::I32((number as i32).max(1) * self.sign() as i32),
            Kind::Int64 => Value::I64((number as i64).max(1) * self.sign()),
            Kind::Uint32 => Value::U32((number as u32).max(1)),
            Kind::Uint64 => Value::U64(number),
            Kind::Double => Value::F64(number as f64 / 3.0),
            Kind::String => Value::String(self.text()),
            Kind::Bytes => Value::Bytes(self.next().to_le_bytes().to_vec().into()),
            Kind::Enum(list) => {
                let values: Vec<_> = list.values().map(|value| value.number()).collect();
                Value::EnumNumber(values[1 + (self.next() as usize) % (values.len() - 1)])
            }
            Kind::Message(message) => Value::Message(self.message(message)),
            other => panic!("CRI has no field of type {other:?}"),
        }
    }

    fn sign(&mut self) -> i64 {
        if self.next() & 1 == 0 { 1 } else { -1 }
    }

    /// All fields filled.
    fn message(&mut self, descriptor: &MessageDescriptor) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        for field in descriptor.fields() {
            let value = if field.is_map() {
                let kind = field.kind();
                let entry = kind.as_message().expect("a map's entry");
                let value = entry.map_entry_value_field().kind();
                let one = |random: &mut Self| (MapKey::String(random.text()), random.value(&value));
                Value::Map([one(self), one(self), one(self)].into())
            } else if field.is_list() {
                Value::List(vec![self.value(&field.kind()), self.value(&field.kind())])
            } else {
                self.value(&field.kind())
            };
            message.set_field(&field, value);
        }
        message
    }
}

/// Ours to theirs and back, and theirs to ours and back.
fn round_trip<Ours, Theirs>(pool: &DescriptorPool, name: &str)
where
    Ours: Message + Default + PartialEq + std::fmt::Debug,
    Theirs: Message + Default + PartialEq + std::fmt::Debug,
{
    let full_name = format!("{PACKAGE}.{name}");
    let descriptor = pool.get_message_by_name(&full_name).expect(name);
    let mut random = Random(name.len() as u64);
    for _ in 0..ROUNDS {
        let dynamic = random.message(&descriptor);
        let ours = Ours::decode(&*dynamic.encode_to_vec()).expect(name);
        let theirs = Theirs::decode(&*ours.encode_to_vec()).expect(name);
        let again = Ours::decode(&*theirs.encode_to_vec()).expect(name);
        assert_eq!(again, ours, "{name}");
        assert_eq!(
            Theirs::decode(&*again.encode_to_vec()).expect(name),
            theirs,
            "{name}"
        );
        // Neither dropped anything.
        for bytes in [ours.encode_to_vec(), theirs.encode_to_vec()] {
            let back = DynamicMessage::decode(descriptor.clone(), &*bytes).expect(name);
            assert_eq!(back, dynamic, "{name}");
        }
    }
}

macro_rules! round_trips {
    ($($name:ident)*) => {
        /// All that can be sent, and the way of each to and fro.
        const ROUND_TRIPS: &[(&str, fn(&DescriptorPool, &str))] = &[
            $((stringify!($name), round_trip::<ours::$name, theirs::$name>)),*
        ];
    };
}

round_trips! {
    AttachRequest AttachResponse CheckpointContainerRequest CheckpointContainerResponse
    ContainerEventResponse ContainerStatsRequest ContainerStatsResponse ContainerStatusRequest
    ContainerStatusResponse CreateContainerRequest CreateContainerResponse ExecRequest
    ExecResponse ExecSyncRequest ExecSyncResponse GetEventsRequest ImageFsInfoRequest
    ImageFsInfoResponse ImageStatusRequest ImageStatusResponse ListContainerStatsRequest
    ListContainerStatsResponse ListContainersRequest ListContainersResponse ListImagesRequest
    ListImagesResponse ListMetricDescriptorsRequest ListMetricDescriptorsResponse
    ListPodSandboxMetricsRequest ListPodSandboxMetricsResponse ListPodSandboxRequest
    ListPodSandboxResponse ListPodSandboxStatsRequest ListPodSandboxStatsResponse
    PodSandboxStatsRequest PodSandboxStatsResponse PodSandboxStatusRequest
    PodSandboxStatusResponse PortForwardRequest PortForwardResponse PullImageRequest
    PullImageResponse RemoveContainerRequest RemoveContainerResponse RemoveImageRequest
    RemoveImageResponse RemovePodSandboxRequest RemovePodSandboxResponse
    ReopenContainerLogRequest ReopenContainerLogResponse RunPodSandboxRequest
    RunPodSandboxResponse RuntimeConfigRequest RuntimeConfigResponse StartContainerRequest
    StartContainerResponse StatusRequest StatusResponse StopContainerRequest
    StopContainerResponse StopPodSandboxRequest StopPodSandboxResponse
    UpdateContainerResourcesRequest UpdateContainerResourcesResponse UpdateRuntimeConfigRequest
    UpdateRuntimeConfigResponse VersionRequest VersionResponse
}

#[test]
fn what_each_side_encodes_the_other_reads() {
    let pool = their_pool();
    let mut sent = BTreeSet::new();
    for method in pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        sent.extend([method.input(), method.output()].map(|one| one.name().to_owned()));
    }
    let tested: BTreeSet<_> = ROUND_TRIPS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(tested, sent);
    for (name, trip) in ROUND_TRIPS {
        trip(&pool, name);
    }
}
