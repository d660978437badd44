//! `swallow-gguf devices`

use indicatif::DecimalBytes;
use serde_json::json;

use crate::{
    chat::note,
    cli::DevicesArgs,
    runner::{
        Device,
        devices::{GPU_FEATURES, HAS_GPU_BACKEND, devices},
    },
    table::{Cell, aligned},
};

pub(super) fn execute(args: &DevicesArgs) -> anyhow::Result<()> {
    let devices = devices()?;
    match args.json {
        true => super::print(&as_json(&devices)?)?,
        false => super::print(&as_table(&devices))?,
    }
    if !devices.iter().any(|device| device.kind.takes_layers()) {
        note(&why_no_gpu());
    }
    Ok(())
}

/// Why there is no GPU among the devices.
pub(super) fn why_no_gpu() -> String {
    match HAS_GPU_BACKEND {
        true => "llama.cpp finds no GPU on this machine".to_owned(),
        false => {
            let names: Vec<String> = GPU_FEATURES
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            let names = names.join(", ");
            format!("this build has no GPU support (one of the features {names} gives it)")
        }
    }
}

fn as_table(devices: &[Device]) -> String {
    let head = ["NAME", "DESCRIPTION", "TYPE", "FREE", "TOTAL", "BACKEND"];
    let head = head
        .into_iter()
        .enumerate()
        .map(|(column, name)| match column {
            3 | 4 => Cell::Right(name.to_owned()),
            _ => Cell::Left(name.to_owned()),
        });
    let bytes = |bytes: u64| Cell::Right(DecimalBytes(bytes).to_string());
    let rows = devices.iter().map(|device| {
        vec![
            Cell::Left(device.name.clone()),
            Cell::Left(device.description.clone()),
            Cell::Left(device.kind.name().to_owned()),
            bytes(device.free),
            bytes(device.total),
            Cell::Left(device.backend.clone()),
        ]
    });
    let rows: Vec<Vec<Cell>> = std::iter::once(head.collect()).chain(rows).collect();
    aligned(&rows)
}

fn as_json(devices: &[Device]) -> anyhow::Result<String> {
    let devices: Vec<_> = devices
        .iter()
        .map(|device| {
            json!({
                "name": device.name,
                "description": device.description,
                "type": device.kind.name(),
                "free": device.free,
                "total": device.total,
                "backend": device.backend,
            })
        })
        .collect();
    Ok(serde_json::to_string_pretty(&devices)? + "\n")
}
