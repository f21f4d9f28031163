use std::io::SeekFrom;

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes looked at at once, from the end.
const BLOCK: u64 = 64 << 10;

/// Where the last `lines` lines of the file begin. Reads no more of it than they are long.
pub(super) async fn offset(file: &mut File, lines: u64) -> std::io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0)).await?;
    if lines == 0 {
        return Ok(end);
    }
    // The line feed at the very end closes the last line and begins none.
    let (mut found, mut is_last) = (0, true);
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start)).await?;
        let mut block = Vec::new();
        (&mut *file).take(end - start).read_to_end(&mut block).await?;
        for (index, byte) in block.iter().enumerate().rev() {
            if *byte == b'\n' && !is_last {
                found += 1;
                if found == lines {
                    return Ok(start + index as u64 + 1);
                }
            }
            is_last = false;
        }
        end = start;
    }
    Ok(0)
}
