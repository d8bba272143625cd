//! The contract of every transport.

use pipewright_mock::conformance;
use pipewright_ureq::Ureq;

#[test]
fn keeps_the_contract_of_transport() {
    conformance::check(&Ureq::new()).assert();
}
