//! The head of a real server's answer.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use httparse::{EMPTY_HEADER, Status};

use super::head::{Framing, HEAD, HEADERS, Trouble, framing, headers, lists};
use super::scan::Scanner;

/// An answer up to its body.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Finds the end of the body.
    pub(super) scanner: Scanner,
    /// The server wants no other request on this connection.
    pub(super) last: bool,
    /// The bytes of the head as they came.
    pub(super) raw: Bytes,
}

impl Reply {
    /// The head of an answer at the start of some bytes, and its length; `None` if it is not complete.
    pub(super) fn parse(bytes: &[u8], method: &Method) -> Result<Option<(usize, Self)>, Trouble> {
        let unreadable = || Trouble::Unreadable("an answer that is not HTTP/1");
        let mut slots = vec![EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut slots);
        let length = match parsed.parse(bytes) {
            Ok(Status::Complete(length)) if length <= HEAD => length,
            Ok(Status::Partial) if bytes.len() <= HEAD => return Ok(None),
            _ => return Err(unreadable()),
        };
        let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(|_| unreadable())?;
        let headers = headers(parsed.headers).ok_or_else(unreadable)?;
        let chunked = lists(&headers, header::TRANSFER_ENCODING, "chunked");
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let scanner = if bodiless {
            Scanner::new(Framing::Length(0))
        } else if chunked || headers.contains_key(header::CONTENT_LENGTH) {
            Scanner::new(framing(&headers, chunked)?)
        } else {
            Scanner::until_close()
        };
        let last = match parsed.version {
            Some(0) => !lists(&headers, header::CONNECTION, "keep-alive"),
            _ => lists(&headers, header::CONNECTION, "close"),
        };
        let last = last || scanner.ends_by_close();
        Ok(Some((length, Self { status, headers, scanner, last, raw: Bytes::new() })))
    }

    /// The same answer with its payload, framed by its length.
    pub(super) fn with_body(self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.scanner.into_payload()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, method: &Method) -> Option<Reply> {
        Reply::parse(text.as_bytes(), method).expect("readable").map(|(_, reply)| reply)
    }

    #[test]
    fn an_answer_ends_where_its_head_says() {
        for (status, header, done, close) in [
            ("200 OK", "Content-Length: 2\r\n", false, false),
            ("200 OK", "Content-Length: 0\r\n", true, false),
            ("200 OK", "Transfer-Encoding: chunked\r\n", false, false),
            ("200 OK", "", false, true),
            ("204 No Content", "", true, false),
            ("304 Not Modified", "Content-Length: 2\r\n", true, false),
        ] {
            let text = format!("HTTP/1.1 {status}\r\n{header}\r\n");
            let reply = read(&text, &Method::GET).expect("a whole head");
            assert_eq!((reply.scanner.is_done(), reply.last), (done, close), "{text:?}");
            assert!(read(&text, &Method::HEAD).is_some_and(|reply| reply.scanner.is_done()));
        }
        assert!(read("HTTP/1.1 200 OK\r\nContent-Le", &Method::GET).is_none());
        assert!(
            read("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n", &Method::GET)
                .is_some_and(|reply| reply.last)
        );
        assert!(Reply::parse(b"hello\r\n\r\n", &Method::GET).is_err());
    }
}
