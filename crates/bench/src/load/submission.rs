//! The submitted requests: a new id each, and a body of about 300 bytes.

use uuid::Uuid;

/// One submission, as it is sent.
#[derive(Debug)]
pub struct Submission {
    pub id: Uuid,
    pub request: Vec<u8>,
}

impl Submission {
    /// The submission with this number, and with this bearer credential. The client chooses the id, so that transactions whose
    /// answer was lost can be found.
    pub fn new(number: usize, bearer: Option<&str>) -> Self {
        let id = Uuid::new_v4();
        let (units, cents) = (number % 90_000 + 1, number % 100);
        let currency = ["EUR", "USD", "GBP"][number % 3];
        let body = format!(
            r#"{{"id":"{id}","amount":{units}.{cents:02},"currency":"{currency}","description":"Invoice {number:08}, goods of the spring collection","timestamp":"2026-04-01T09:30:00Z","sourceAccount":"DE89370400440532013000","destinationAccount":"FR1420041010050500013M02606","metadata":{{"order_id":"{number:08}"}}}}"#
        );
        let mut request = format!(
            "POST /api/transactions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        if let Some(bearer) = bearer {
            request.push_str("authorization: Bearer ");
            request.push_str(bearer);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        request.push_str(&body);
        Self { id, request: request.into_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_about_300_bytes() {
        for number in [0, 7, 123_456] {
            let text = String::from_utf8(Submission::new(number, None).request).unwrap();
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            assert!((290..=310).contains(&body.len()), "{}", body.len());
            assert!(text.contains(&format!("content-length: {}\r\n", body.len())));
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }
}
