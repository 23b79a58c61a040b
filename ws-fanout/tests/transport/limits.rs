//! What a socket may do, and what is no socket at all.

use super::*;

async fn raw_answer(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn bounds_of_a_socket_are_held() {
    in_local_set(async {
        let raw = RawConfig {
            streams_per_socket_max: 1,
            sockets_max: 4,
            sockets_per_address_max: 3,
            requests_per_s_max: 50,
            ..RawConfig::default()
        };
        let mut world = World::start(raw).await;
        let mut greedy = world.client().await;
        greedy.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        greedy.ask("SUBSCRIBE", "depth.SOL_USDC").await;
        assert_eq!(greedy.close_code().await, 1008);
        let mut big = world.client().await;
        big.send(Message::text(" ".repeat(65 << 10))).await;
        assert_eq!(big.close_code().await, 1009);
        let mut hasty = world.client().await;
        for _ in 0..51 {
            hasty.send(Message::Ping("".into())).await;
        }
        assert_eq!(hasty.close_code().await, 1008);
        drop((greedy, big, hasty));
        let (mut open, start) = (Vec::new(), std::time::Instant::now());
        while open.len() < 3 {
            assert!(start.elapsed() < DEADLINE, "places were not given back");
            open.extend(world.try_client().await);
        }
        let refused = world.try_client().await.err().unwrap();
        assert!(refused.to_string().contains("503"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_message_in_fragments_counts_as_one() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        let request = br#"{"method":"SUBSCRIBE","params":["trade.SOL_USDC"]}"#;
        client.fragment(OpCode::Data(Data::Text), false, &request[..9]).await;
        // Control frames may come between fragments.
        client.fence().await;
        client.fragment(OpCode::Data(Data::Continue), true, &request[9..]).await;
        world.join().await;
        client.fragment(OpCode::Data(Data::Text), false, &[b' '; 40_000]).await;
        client.fragment(OpCode::Data(Data::Continue), false, &[b' '; 40_000]).await;
        assert_eq!(client.close_code().await, 1009);
        let mut rude = world.client().await;
        rude.fragment(OpCode::Data(Data::Continue), true, b"without a beginning").await;
        assert_eq!(rude.close_code().await, 1002);
        // More of what was too big is thrown away.
        let mut big = world.client().await;
        big.send(Message::text(" ".repeat(1 << 20))).await;
        big.send(Message::text(" ".repeat(1 << 20))).await;
        assert_eq!(big.close_code().await, 1009);
        let mut next = world.client().await;
        next.fence().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so_and_who_says_nothing_is_cut_off() {
    in_local_set(async {
        let raw = RawConfig { handshake_ms_max: 300, ..RawConfig::default() };
        let world = World::start(raw).await;
        let plain = raw_answer(&world, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(plain.starts_with("HTTP/1.1 426"), "{plain}");
        let elsewhere = raw_answer(&world, "GET /streams HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(elsewhere.starts_with("HTTP/1.1 404"), "{elsewhere}");
        // Half a request: the connection ends without an answer.
        let half = raw_answer(&world, "GET / HTTP/1.1\r\nHo").await;
        assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "{half}");
    })
    .await;
}
