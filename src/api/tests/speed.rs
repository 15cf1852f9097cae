//! temporary
use super::server::Server;
use axum::body::Body;
use http::Request;
use tower::ServiceExt as _;
use sigv4::claim::PathStyle; use sigv4::sign::Scope; use sigv4::verify::Payload; use sigv4::{Credentials, Secret}; use http::{HeaderMap,HeaderValue,Method};
#[tokio::test]
async fn speed() {
    let server = Server::open(); server.create("f").await;
    let signed = Server::with(crate::Access::Signed);
    signed.api.store.put_key(store::AccessKey{id:"AK".into(),secret:"s".into(),created_ms:0}).await.unwrap();
    let n = 100000;
    let router = crate::router(std::sync::Arc::clone(&server.api));
    let t = std::time::Instant::now();
    for _ in 0..n {
        let r = Request::builder().method("POST").uri("/2015-03-31/functions/f/invocations").header("host","localhost:9000").body(Body::from("{\"a\":1}")).unwrap();
        let r = router.clone().oneshot(r).await.unwrap(); assert_eq!(r.status(),200);
        if server.pool.calls.lock().unwrap().len()>1000 { server.pool.calls.lock().unwrap().clear(); }
    }
    println!("open {:?}", t.elapsed()/n);
    let t = std::time::Instant::now();
    for _ in 0..n {
        let r = Request::builder().method("POST").uri("/2015-03-31/functions/f/invocations").header("host","localhost:9000").body(Body::from("{\"a\":1}")).unwrap();
        std::hint::black_box(r);
    }
    println!("request alone {:?}", t.elapsed()/n);
    let router = crate::router(std::sync::Arc::clone(&signed.api));
    let cred = Credentials { access_key_id: "AK".to_owned(), secret: Secret::new("s") };
    let mut headers = HeaderMap::new(); headers.insert("host", HeaderValue::from_static("localhost"));
    sigv4::sign(&cred, Scope{region:"us-east-1",service:"lambda",paths:PathStyle::Normalised}, &Method::POST, ("/2015-03-31/functions/f/invocations",None), &mut headers, Payload::Bytes(b"{\"a\":1}"), crate::server::now_ms()/1000).unwrap();
    let t = std::time::Instant::now();
    for _ in 0..n {
        let mut r = Request::builder().method("POST").uri("/2015-03-31/functions/f/invocations").body(Body::from("{\"a\":1}")).unwrap();
        *r.headers_mut()=headers.clone();
        let r = router.clone().oneshot(r).await.unwrap(); assert_eq!(r.status(),404);
    }
    println!("signed 404 {:?}", t.elapsed()/n);
}
