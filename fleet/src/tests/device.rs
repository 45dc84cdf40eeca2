//! A run whose workers had GPUs: its summary and its page name the stage that bound them.

use super::*;
use tagfleet_cost::usage::Gpu;
use tagfleet_pipeline::tagger::DeviceTime;
use tagfleet_report::binding::Stage;

#[tokio::test]
async fn a_summary_names_the_bottleneck_of_workers_with_gpus() {
    let world = World::new(20).await;
    world.ask(json!({})).await;
    world.split().await;
    world.infer().await;
    let checked = world.check(1, false, None).await;
    let fleet = world.fleet().await;
    world.finish(checked.groups, None).await;
    assert_eq!(read_summary(&fleet).await.unwrap().device, None, "processors ran the model");
    let device = DeviceTime {
        wall_milliseconds: 1000,
        decode_milliseconds: 1000,
        transfer_milliseconds: 100,
        compute_milliseconds: 900,
    };
    let gpu = Some(Gpu { name: "NVIDIA L4".to_owned(), count: 1 });
    let worker = WorkerUsage { gpu, device: Some(device), vcpus: 4, tagged: 10, ..usage_of_a_worker() };
    for name in ["worker-a", "worker-b"] {
        let record = UsageRecord::Worker(worker.clone());
        usage::put(fleet.output.as_ref(), &fleet.keys, name, &record).await.unwrap();
    }
    world.finish(checked.groups, None).await;
    let summary = read_summary(&fleet).await.unwrap();
    let device = summary.device.unwrap();
    // Each had a second of four vCPUs and of a GPU for its ten images.
    assert_eq!((device.stage, device.decode, device.compute), (Stage::Compute, 0.25, 0.9));
    assert_eq!((device.images_per_second_per_vcpu, device.images_per_second_per_gpu), (2.5, 10.0));
    let text = summary.text();
    assert!(
        text.contains("stages   bottleneck: compute (decode 25 % busy, transfer 10 %, compute 90 %)\n"),
        "{text}"
    );
    assert!(text.contains(" images, 2 NVIDIA L4\n"), "{text}");
    let page = fleet.output.get(&fleet.keys.report(), None, 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&page.bytes).contains("bottleneck: compute"));
}
