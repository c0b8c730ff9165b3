# A client by others, for the fake OBS: prints what it saw as JSON.
import asyncio
import json
import sys

import simpleobsws


async def main(url, password):
    seen = {'events': []}

    async def on_scene(data):
        seen['events'].append(data)

    client = simpleobsws.WebSocketClient(url=url, password=password)
    await client.connect()
    seen['identified'] = await client.wait_until_identified(5)
    if seen['identified']:
        client.register_event_callback(on_scene, 'CurrentProgramSceneChanged')
        request = simpleobsws.Request('SetCurrentProgramScene', {'sceneName': 'Camera'})
        seen['switched'] = (await client.call(request)).ok()
        refused = await client.call(simpleobsws.Request('GetScenes'))
        seen['refused'] = refused.requestStatus.code
        batch = await client.call_batch(
            [simpleobsws.Request('GetVersion'), simpleobsws.Request('GetScenes')],
            halt_on_failure=True,
        )
        seen['batch'] = [result.requestStatus.code for result in batch]
    await client.disconnect()
    print(json.dumps(seen))


asyncio.run(main(*sys.argv[1:]))
