/** The answer to GetSceneList. */
export const SCENES = {
  currentProgramSceneName: 'Scene 1',
  currentPreviewSceneName: null,
  scenes: Array.from({ length: 10 }, (_, i) => ({ sceneIndex: i, sceneName: `Scene ${i}` })),
};
