//! SOAP envelopes of both sides, pure: the client writes requests and reads answers, the simulator
//! reads requests and writes answers.
