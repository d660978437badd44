//! Each stage of a conversion by itself: what the pipeline, in which they overlap, is held against.

use std::{
    io::Write,
    num::NonZeroUsize,
    path::Path,
    time::{Duration, Instant},
};

use swallow_quant::Isa;

use super::{
    Conversion, ConvertError, Times, chunks, pipeline, quantize::quantize_chunk, read::ChunkReader,
};

impl Conversion {
    /// How long reading all weights takes, with nothing else to do.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn time_reading(&self) -> Result<Duration, ConvertError> {
        let start = Instant::now();
        self.read_all(|_, _| Ok(()))?;
        Ok(start.elapsed())
    }

    /// How long quantizing all weights takes, without the reading that goes before it, and how
    /// long writing as many bytes takes, until they are on disk. `path` is written and left behind.
    ///
    /// # Errors
    /// As [`Conversion::write`].
    pub fn time_quantizing_and_writing(
        &self,
        path: &Path,
        threads: Option<NonZeroUsize>,
    ) -> Result<Times, ConvertError> {
        let pool = pipeline::thread_pool(threads)?;
        let (isa, mut blocks) = (Isa::best(), Vec::new());
        let mut times = Times::default();
        self.read_all(|chunk, bytes| {
            let start = Instant::now();
            pool.install(|| quantize_chunk(&self.plan, chunk, bytes, isa, &mut blocks))?;
            times.quantize += start.elapsed();
            Ok(())
        })?;

        let failed = |error| ConvertError::Write {
            path: path.to_owned(),
            error,
        };
        let start = Instant::now();
        let mut file = std::fs::File::create(path).map_err(failed)?;
        let mut left = self.plan.file_bytes();
        while left > 0 && !blocks.is_empty() {
            let n = left.min(blocks.len() as u64);
            file.write_all(&blocks[..n as usize]).map_err(failed)?;
            left -= n;
        }
        times.write = start.elapsed();
        file.sync_all().map_err(failed)?;
        times.sync = start.elapsed() - times.write;
        Ok(times)
    }

    /// Reads every chunk as the pipeline does, and hands it on.
    fn read_all(
        &self,
        mut use_chunk: impl FnMut(&chunks::Chunk, &[u8]) -> Result<(), ConvertError>,
    ) -> Result<(), ConvertError> {
        let mut reader = ChunkReader::new(&self.shards, &self.plan, chunks::chunks(&self.plan));
        let mut bytes = Vec::new();
        while let Some(chunk) = reader.read_next(&mut bytes)? {
            use_chunk(&chunk, &bytes)?;
        }
        Ok(())
    }
}
