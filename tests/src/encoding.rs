//! Decompresses recorded bodies. Most recorders write bodies decompressed, and keep the header that names the
//! compression; some keep the compressed bytes.

use std::io::{self, Read};

use bytes::Bytes;
use http::{Response, header};

/// No recorded body is larger, and what claims to be is not read to its end.
const LIMIT: u64 = 256 << 20;

/// Decompresses a body that still is what its header says, and takes the header away.
///
/// # Errors
/// When it cannot be decompressed.
pub fn decode(response: &mut Response<Bytes>) -> io::Result<()> {
    let Some(encoding) = response.headers_mut().remove(header::CONTENT_ENCODING) else { return Ok(()) };
    let body = response.body();
    let decoded = match encoding.as_bytes() {
        b"gzip" if body.starts_with(b"\x1f\x8b") => read(flate2::read::MultiGzDecoder::new(&body[..]))?,
        b"zstd" if body.starts_with(b"\x28\xb5\x2f\xfd") => {
            read(ruzstd::decoding::StreamingDecoder::new(&body[..]).map_err(io::Error::other)?)?
        }
        // Brotli begins with nothing of its own; but what it makes of JSON is no text.
        b"br" if std::str::from_utf8(body).is_err() => read(brotli_decompressor::Decompressor::new(&body[..], 4096))?,
        _ => return Ok(()),
    };
    *response.body_mut() = decoded;
    Ok(())
}

fn read(decoder: impl Read) -> io::Result<Bytes> {
    let mut out = Vec::new();
    decoder.take(LIMIT).read_to_end(&mut out)?;
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a":1}` as three programs write it.
    const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xabVJT\xb22\xac\x05\0\xaf\xac\x1bV\x07\0\0\0";
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04X9\0\0{\"a\":1}H\x8b\xfc2";
    const BROTLI: &[u8] = b"\x0b\x03\x80{\"a\":1}\x03";

    fn decoded(encoding: &'static str, body: &'static [u8]) -> io::Result<Bytes> {
        let mut response = Response::new(Bytes::from_static(body));
        response.headers_mut().insert(header::CONTENT_ENCODING, encoding.parse().expect("a value"));
        decode(&mut response)?;
        assert!(response.headers().is_empty());
        Ok(response.into_body())
    }

    #[test]
    fn what_is_compressed_is_decompressed_and_what_is_not_stays() {
        for (encoding, body) in [("gzip", GZIP), ("zstd", ZSTD), ("br", BROTLI)] {
            assert_eq!(decoded(encoding, body).expect(encoding), "{\"a\":1}", "{encoding}");
            assert_eq!(decoded(encoding, b"{\"b\":2}").expect(encoding), "{\"b\":2}", "{encoding}");
        }
        assert_eq!(decoded("identity", b"\x1f\x8b").expect("as it is"), &b"\x1f\x8b"[..]);
    }

    #[test]
    fn what_is_broken_is_an_error() {
        for (encoding, body) in [("gzip", &GZIP[..12]), ("zstd", &ZSTD[..8]), ("br", &b"\xff\xff\xff"[..])] {
            assert!(decoded(encoding, body).is_err(), "{encoding}");
        }
    }
}
