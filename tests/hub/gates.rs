//! Gates of a base model that is on the hub.

use std::sync::{Arc, atomic::AtomicBool};

use swallow_gguf::{
    convert::CheckpointSource,
    hub::{Client, Config},
    merge::gates::{GateMode, PromptOptions, Prompts, from_prompts},
};

use super::{REPO, config, hasty, repo, server::Hub};
use crate::support::{checkpoint, small_moe};

#[test]
fn a_base_on_the_hub_gives_the_gates_of_its_copy() {
    let mut spec = small_moe();
    spec.sizes.num_local_experts = 0;
    let dir = tempfile::tempdir().unwrap();
    let folder = checkpoint(dir.path(), "base", &spec);
    let hub = Hub::start();
    hub.put_folder(REPO, &folder);
    let config = Config {
        cache: dir.path().join("cache"),
        ..config(&hub)
    };
    let client = Client::new(config, hasty(), Arc::default());
    let sources = [
        CheckpointSource::Folder(folder),
        CheckpointSource::Hub(client, repo()),
    ];
    let experts = ["a dog", "a cat"].map(|prompt| Prompts {
        positive: vec![prompt.to_owned()],
        negative: Vec::new(),
    });
    for mode in [GateMode::CheapEmbed, GateMode::Hidden] {
        let scratch = tempfile::tempdir().unwrap();
        let options = PromptOptions {
            n_shared: 0,
            threads: None,
            memory: None,
            pre: None,
            scratch: scratch.path(),
            cancel: &AtomicBool::new(false),
            progress: &|_| {},
        };
        let [here, there] = sources
            .each_ref()
            .map(|source| from_prompts(mode, source, &experts, &options, &mut Vec::new()).unwrap());
        assert!(here == there, "{}", mode.name());
    }
}
